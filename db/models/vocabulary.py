"""The closed lists of words that columns hold. The CHECK constraints are made from these, so that no word
has two spellings."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """`SYSTEM` cannot log in; it owns what the program does by itself."""

    ADMIN = "admin"
    SUPERVISOR = "supervisor"
    WORKER = "worker"
    VIEWER = "viewer"
    SYSTEM = "system"


class WarehouseType(StrEnum):
    GREENHOUSE = "greenhouse"
    SHADEHOUSE = "shadehouse"
    OPEN_FIELD = "open_field"
    TUNNEL = "tunnel"


class PlaceSource(StrEnum):
    """The map or list that a bay comes from."""

    GRID = "grid"
    DRAWN = "drawn"
    INVENTORY = "inventory"


class RelationshipType(StrEnum):
    CONTAINS = "contains"
    ADJACENT_TO = "adjacent_to"


class BinCategory(StrEnum):
    PLUG = "plug"
    SEEDLING_TRAY = "seedling_tray"
    BOX = "box"
    SEGMENT = "segment"
    POT = "pot"


class BinStatus(StrEnum):
    ACTIVE = "active"
    MAINTENANCE = "maintenance"
    RETIRED = "retired"


class ImageStatus(StrEnum):
    UPLOADED = "uploaded"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class UploadSource(StrEnum):
    CLI = "cli"
    FOLDER = "folder"
    API = "api"
    WEB = "web"
    MOBILE = "mobile"


class RunStatus(StrEnum):
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class SessionStatus(StrEnum):
    """The needs_* states wait for a fact, `REFUSED` for a better photo; they are not failures."""

    PENDING = "pending"
    PROCESSING = "processing"
    NEEDS_LOCATION = "needs_location"
    NEEDS_CONFIG = "needs_config"
    NEEDS_CALIBRATION = "needs_calibration"
    COMPLETED = "completed"
    WARNING = "warning"
    REFUSED = "refused"
    FAILED = "failed"
    DISCARDED = "discarded"


class LocatedBy(StrEnum):
    """What says where a photo was taken: the command that counted it, a code in the photo, `places.csv`
    beside it, the name of its file or folders, a person afterwards, or its place in a walk along a bed."""

    GIVEN = "given"
    CODE = "code"
    SIDECAR = "sidecar"
    NAME = "name"
    ASSIGNED = "assigned"
    WALK = "walk"


class DayRule(StrEnum):
    """What several photos of one place on one day say together."""

    LAST = "last"
    LARGEST = "largest"
    SUM = "sum"
    REVIEW = "review"


class ContainerRole(StrEnum):
    """`BACKGROUND` belongs to a neighbouring place that happens to be in the picture."""

    MAIN = "main"
    BACKGROUND = "background"


class CountSource(StrEnum):
    FOTO = "foto"
    MANUAL = "manual"


class CountStatus(StrEnum):
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class MovementType(StrEnum):
    PLANTAR = "plantar"
    SEMBRAR = "sembrar"
    TRANSPLANTE = "transplante"
    MUERTE = "muerte"
    VENTAS = "ventas"
    FOTO = "foto"
    AJUSTE = "ajuste"
    MANUAL_INIT = "manual_init"


class MovementSource(StrEnum):
    MANUAL = "manual"
    IA = "ia"
    CALCULATED = "calculated"
    MANUAL_CORRECTION = "manual_correction"


class SealedKind(StrEnum):
    """What the closing of a month vouches for."""

    MOVEMENT = "movement"
    COUNT = "count"
    EVIDENCE = "evidence"


class AuditStatus(StrEnum):
    DRAWN = "drawn"
    RECORDED = "recorded"
    APPLIED = "applied"
    WITHDRAWN = "withdrawn"


class Availability(StrEnum):
    """What the client's list says: Todo el año, Stock limitado, Hasta agotar stock, No disponible."""

    AVAILABLE = "available"
    LIMITED = "limited"
    WHILE_STOCKS_LAST = "while_stocks_last"
    OUT_OF_STOCK = "out_of_stock"
    DISCONTINUED = "discontinued"


class ChangeAction(StrEnum):
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    TRUNCATE = "truncate"


class SampleType(StrEnum):
    REFERENCE = "reference"
    GROWTH_STAGE = "growth_stage"
    QUALITY_CHECK = "quality_check"
    MONTHLY_SAMPLE = "monthly_sample"


class ImportStatus(StrEnum):
    """`REFUSED`: too many rows were rejected, so none was loaded."""

    LOADED = "loaded"
    REFUSED = "refused"


class ImportVerdict(StrEnum):
    """`FIXED` is loaded too, but not as it was written."""

    LOADED = "loaded"
    FIXED = "fixed"
    REJECTED = "rejected"


class AliasKind(StrEnum):
    GENUS = "genus"
    SPECIES = "species"
    PLACE = "place"


class LineVerdict(StrEnum):
    """What a reconciliation says of a lot at a place."""

    BALANCED = "balanced"
    SALE = "sale"
    INDISTINCT = "indistinct"
    GAIN = "gain"
    LOSS = "loss"
    MISSING_PHOTO = "missing_photo"
    NO_BASELINE = "no_baseline"
    CONFIG_CHANGED = "config_changed"
    PARTIAL = "partial"


class Decision(StrEnum):
    """What a person says of a count."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    ADJUSTED = "adjusted"
