"""What the sheet of an audit says to whoever counts, in the language in use."""

from __future__ import annotations

import datetime as dt

from demeter_cli.language import _, chosen, day
from pipeline.audit.words import Words


def sheet_words(expires: dt.date) -> Words:
    return Words(
        language=chosen(),
        title=_("Hand count"),
        name=_("Counted by"),
        date=_("Date"),
        rules=(
            _(
                "Count the living plants in the bright part of each picture,"
                " inside the black and white frame."
            ),
            _("A plant on the edge of the frame counts if its middle lies inside."),
            _(
                "A plant counts too that others hide, if you are sure of it."
                " Empty pots and dead plants do not."
            ),
            _("No plant at all is a count: write 0. Leave a picture blank if you cannot tell."),
            _("Nobody's number is right beforehand, least of all the machine's: do not ask it first."),
        ),
        return_by_file=_("Then type the numbers into counts.csv and run"),
        return_by_prompt=_("or let the program ask you, picture by picture:"),
        valid=_("To be returned before {day}.").format(day=day(expires)),
        tile=_("Picture"),
        plants=_("Plants"),
        remark=_("Remark"),
    )
