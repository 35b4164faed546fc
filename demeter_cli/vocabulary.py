"""The closed lists of words that tables show, such as a photo's status, as people read them."""

from __future__ import annotations

from demeter_cli.language import N_, _, chosen

# In English a word is shown as JSON, options and docs have it. Movement types are Spanish in the books.
_MARKED = (
    # photos
    *(N_("completed"), N_("warning"), N_("refused"), N_("failed"), N_("pending"), N_("processing")),
    *(N_("needs_location"), N_("needs_config"), N_("needs_calibration"), N_("discarded")),
    # counts and decisions
    *(N_("proposed"), N_("accepted"), N_("rejected"), N_("adjusted")),
    # containers
    *(N_("segment"), N_("box"), N_("plug"), N_("plug_tray"), N_("seedling_tray"), N_("pot"), N_("loose")),
    # reconciliations
    *(N_("balanced"), N_("sale"), N_("indistinct"), N_("gain"), N_("loss"), N_("missing_photo")),
    *(N_("no_baseline"), N_("config_changed"), N_("partial")),
    # audits
    *(N_("drawn"), N_("recorded"), N_("applied"), N_("withdrawn")),
    # seasons
    *(N_("Dec–Feb"), N_("Mar–May"), N_("Jun–Aug"), N_("Sep–Nov")),
    # bays
    *(N_("greenhouse"), N_("shadehouse"), N_("open_field"), N_("tunnel")),
    # people, runs, changes
    *(N_("admin"), N_("supervisor"), N_("worker"), N_("viewer"), N_("system")),
    *(N_("running"), N_("finished"), N_("interrupted")),
    *(N_("insert"), N_("update"), N_("delete")),
)
# The books' own words, as the nursery says them.
_SPANISH = {
    "plantar": "plantado",
    "sembrar": "siembra",
    "transplante": "trasplante",
    "muerte": "muerte",
    "ventas": "venta",
    "foto": "foto",
    "ajuste": "ajuste",
    "manual_init": "conteo inicial",
}


def word(text: str) -> str:
    """A word of the lists in the language in use; any other text as it is."""
    if chosen() == "es" and text in _SPANISH:
        return _SPANISH[text]
    return _(text)
