"""Settings: flag, then DEMETER_* variable, then demeter.toml, then default. Read once, here only."""

from __future__ import annotations

import datetime as dt
import difflib
import logging
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from demeter_cli import secret_files as secrets
from demeter_cli.environment import FILE_NAME as FILE_NAME
from demeter_cli.environment import PREFIX, default_data_dir
from demeter_cli.environment import cache_dir as cache_dir
from demeter_cli.environment import find_config as find_config
from demeter_cli.environment import os_login as os_login
from demeter_cli.errors import SettingsError
from demeter_cli.logs import LogFile
from pipeline.config import GateConfig, ModelChoice, PipelineConfig, Reaction
from pipeline.machine import cores

log = logging.getLogger("demeter")

Share = Annotated[float, Field(ge=0, lt=1)]


class Settings(BaseSettings):
    """Every setting with its default; configs/demeter.toml explains each."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)
    toml_file: ClassVar[Path | None] = None

    database_url: SecretStr | None = None
    data_dir: Path = Field(default_factory=default_data_dir)
    user: str | None = None
    timezone: str = "America/Argentina/Mendoza"
    language: Literal["en", "es"] | None = None

    period_key: Path | None = None

    place_patterns: tuple[str, ...] = ()
    rejected_dir: Path | None = None
    watch_interval: Annotated[float, Field(ge=0.1, le=3600)] = 10.0
    watch_stable: Annotated[float, Field(ge=0, le=3600)] = 5.0
    watch_patience: Annotated[float, Field(ge=0)] = 600.0
    watch_batch: Annotated[int, Field(ge=1, le=100000)] = 200
    same_day: Literal["last", "largest", "sum", "review"] = "last"

    storage_url: str | None = None
    s3_endpoint: str | None = None
    s3_region: str | None = None
    s3_access_key: SecretStr | None = None
    s3_secret_key: SecretStr | None = None
    s3_encryption: Literal["none", "AES256", "aws:kms"] = "none"
    s3_kms_key: str | None = None
    s3_timeout: Annotated[float, Field(gt=0, le=600)] = 30.0
    s3_attempts: Annotated[int, Field(ge=1, le=20)] = 5

    detector: Path | None = None
    segmenter: Path | None = None
    runtime: str = "auto"
    min_score: Annotated[float, Field(gt=0, lt=1)] | None = None
    device: str = "CPU"
    precision: Literal["auto", "f32", "bf16", "int8"] = "auto"
    trusted_pickles: tuple[str, ...] = ()

    view_side: Annotated[int, Field(ge=0, le=20000)] = 2080
    tile: Annotated[int, Field(ge=64, le=4096)] = 512
    overlap: Annotated[float, Field(ge=0, le=0.9)] = 0.25
    skip_below: Annotated[float, Field(ge=0, le=0.5)] = 0.02
    merge: Literal["cut-aware", "nms", "greedynmm"] = "cut-aware"
    max_iou: Share = 0.5
    max_cut_overlap: Share = 0.5
    estimator: Literal["density-map", "expected", "perspective", "bands", "density"] = "density-map"
    max_megapixels: Annotated[float, Field(gt=0)] = 120.0
    min_side: Annotated[int, Field(ge=1)] = 64

    audit_days: Annotated[int, Field(ge=1, le=3650)] = 120

    accept: Literal["auto", "review"] = "auto"
    accept_width: Annotated[float, Field(ge=0, le=10)] = 0.25
    accept_gain: Annotated[float, Field(ge=0, le=10)] = 0.1
    accept_loss: Share = 0.35

    gate_unreadable: Reaction = Reaction.REFUSE
    gate_floor: Reaction = Reaction.REFUSE
    gate_empty: Reaction = Reaction.REFUSE
    gate_dark: Reaction = Reaction.WARN
    gate_bright: Reaction = Reaction.WARN
    gate_haze: Reaction = Reaction.WARN
    gate_motion: Reaction = Reaction.WARN
    gate_blur: Reaction = Reaction.WARN
    gate_small: Reaction = Reaction.WARN
    gate_angle: Reaction = Reaction.WARN
    gate_turned: Reaction = Reaction.WARN
    gate_loose: Reaction = Reaction.WARN
    gate_strange: Reaction = Reaction.WARN
    gate_repeat: Reaction = Reaction.WARN

    workers: Annotated[int, Field(ge=0)] | None = None
    threads: Annotated[int, Field(ge=0)] = 0
    photo_timeout: Annotated[float, Field(ge=0)] = 600.0

    log_file: Path | None = None
    log_style: Literal["plain", "json"] = "plain"
    log_level: Literal["debug", "info", "warning"] = "info"
    log_max_mb: Annotated[float, Field(gt=0)] = 10.0
    log_keep: Annotated[int, Field(ge=0, le=1000)] = 5
    metrics_file: Path | None = None
    ping_url: SecretStr | None = None
    webhook_url: SecretStr | None = None
    mail_to: str | None = None
    mail_from: str | None = None
    smtp_host: str = "localhost"
    smtp_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    otel_endpoint: str | None = None
    free_gb: Annotated[float, Field(ge=0)] = 10.0

    keep_detections_days: Annotated[int, Field(ge=7, le=36500)] = 90
    keep_reports_days: Annotated[int, Field(ge=1, le=36500)] = 365

    @field_validator(
        "data_dir", "period_key", "rejected_dir", "detector", "segmenter", "log_file", "metrics_file"
    )
    @classmethod
    def _expand(cls, path: Path | None) -> Path | None:
        return None if path is None else _expanded(path).absolute()

    @field_validator("storage_url")
    @classmethod
    def _is_a_place(cls, url: str | None) -> str | None:
        scheme, separator, rest = (url or "").partition("://")
        if separator and (scheme not in ("file", "s3") or not rest.strip("/")):
            raise ValueError("name a folder, or a bucket as s3://bucket/prefix")
        return url or None

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is not a time zone like America/Argentina/Mendoza") from error
        return name

    @field_validator("trusted_pickles")
    @classmethod
    def _hashes(cls, named: tuple[str, ...]) -> tuple[str, ...]:
        for one in named:
            if not re.fullmatch("[0-9a-f]{64}", one):
                raise ValueError(f"{one!r} is no sha256 of 64 hexadecimal digits")
        return named

    @field_validator("ping_url", "webhook_url")
    @classmethod
    def _web_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not re.match(r"https?://[^/\s]+", url.get_secret_value()):
            raise ValueError("it is no address like https://host/path")
        return url

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        files = InitSettingsSource(settings_cls, secrets.from_files(os.environ, secret_names(cls)))
        toml = TomlConfigSettingsSource(settings_cls, toml_file=cls.toml_file)
        return init_settings, env_settings, files, toml

    @property
    def photo_dir(self) -> Path:
        """Where the files of photos are kept, unless `storage_url` names another place."""
        return self.data_dir / "photos"

    @property
    def report_dir(self) -> Path:
        return self.data_dir / "reports"

    def logging_to(self, path: Path) -> LogFile:
        return LogFile(path, self.log_style, self.log_level, int(self.log_max_mb * 1e6), self.log_keep)

    def today(self, moment: dt.datetime) -> dt.date:
        """The day at the site."""
        return moment.astimezone(ZoneInfo(self.timezone)).date()

    def workers_for(self, photos: int, flag: int | None) -> int:
        """The flag, else the setting, else a process per core up to two, and no more than photos."""
        available = cores()
        chosen = flag if flag is not None else self.workers
        if chosen is not None and chosen > available:
            log.warning(
                "%d workers share %d core(s): more than one a core costs memory and gains nothing; "
                "`demeter model benchmark` finds the best number",
                chosen,
                available,
            )
        return chosen if chosen is not None else max(1, min(2, available, photos))

    def pipeline(
        self, workers: int, overlay_dir: Path | None = None, *, keep_evidence: bool = False
    ) -> PipelineConfig:
        """What the pipeline needs of all this."""
        return PipelineConfig(
            detector=ModelChoice(
                self.detector or shipped("configs/models/plant.json"), self.runtime, self.min_score
            ),
            segmenter=ModelChoice(self.segmenter or shipped("configs/models/containers.json")),
            tile=self.tile,
            view_side=self.view_side,
            overlap=self.overlap,
            skip_below=self.skip_below,
            merge=self.merge,
            max_iou=self.max_iou,
            max_cut_overlap=self.max_cut_overlap,
            estimator=self.estimator,
            max_megapixels=self.max_megapixels,
            min_side=self.min_side,
            gate=GateConfig(**{name: getattr(self, f"gate_{name}") for name in GateConfig.__slots__}),
            workers=workers,
            threads=self.threads,
            patience=self.photo_timeout,
            device=self.device,
            precision=self.precision,
            cache_dir=cache_dir(),
            overlay_dir=overlay_dir,
            keep_evidence=keep_evidence,
            trusted_pickles=self.trusted_pickles,
        )


def load_settings(config: Path | None = None) -> Settings:
    """Raises SettingsError that names every problem at once."""
    path = find_config(config)
    located = type("Settings", (Settings,), {"toml_file": path, "__module__": __name__})
    problems = list(_unknown_names(path))
    try:
        settings: Settings = located()
    except ValidationError as error:
        problems += [_sentence(item) for item in error.errors() if item["type"] != "extra_forbidden"]
    if problems:
        raise SettingsError("; ".join(problems))
    return settings


def secret_names(settings: type[BaseSettings]) -> frozenset[str]:
    """The settings that nobody may see; each may also be given as a file, by DEMETER_…_FILE."""
    return frozenset(
        name for name, field in settings.model_fields.items() if SecretStr in get_args(field.annotation)
    )


@dataclass(frozen=True, slots=True)
class Origin:
    """A setting, its value as it may be shown, and where that comes from."""

    name: str
    value: str
    source: str

    def as_row(self) -> dict[str, str]:
        return {"setting": self.name, "value": self.value, "from": self.source}


def origins(config: Path | None) -> list[Origin]:
    """Every setting with its value in force. Raises SettingsError as `load_settings` does."""
    settings, path = load_settings(config), find_config(config)
    keys = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
    found = []
    for name in Settings.model_fields:
        variable = PREFIX + name.upper()
        if os.environ.get(variable) is not None:
            source = variable
        elif os.environ.get(variable + "_FILE") and name in secret_names(Settings):
            source = f"{variable}_FILE, {os.environ[variable + '_FILE']}"
        else:
            source = str(path) if name in keys else "default"
        found.append(Origin(name, secrets.shown(getattr(settings, name)), source))
    return found


def _unknown_names(path: Path | None) -> list[str]:
    """Misspelt keys would otherwise leave a default in force without a word."""
    problems = []
    for name in sorted(os.environ):
        key = name.removeprefix(PREFIX).lower()
        if key.endswith("_file") and key.removesuffix("_file") in secret_names(Settings):
            continue
        if name.startswith(PREFIX) and key != "config" and key not in Settings.model_fields:
            problems.append(f"the variable {name} is no setting{_nearest(key, PREFIX)}")
    if path is not None:
        try:
            keys = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"{path} cannot be read: {error}") from error
        problems += secrets.told_to_everybody(path, keys, secret_names(Settings))
        unknown = [key for key in keys if key not in Settings.model_fields]
        problems += [f"{path}: {key!r} is no setting{_nearest(key)}" for key in unknown]
    return problems


def _nearest(key: str, prefix: str = "") -> str:
    near = difflib.get_close_matches(key.lower(), list(Settings.model_fields), n=1)
    if not near:
        return ""
    return f"; did you mean {prefix + near[0].upper() if prefix else near[0]}?"


def _sentence(item: Any) -> str:
    name, problem = ".".join(str(part) for part in item["loc"]), f"{item['msg'][:1].lower()}{item['msg'][1:]}"
    if item["loc"][0] in secret_names(Settings):  # whatever its form
        return f"the setting {name} cannot be used: {problem}"
    return f"the setting {name} cannot be {item['input']!r}: {problem}"


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError("there is no home folder that ~ could mean; write the path out") from error


def shipped(relative: str) -> Path:
    """A file that comes with the program: beside the code when installed, else in the checkout."""
    here = Path(__file__).parent
    installed = here / "shipped" / relative
    return installed if installed.exists() else here.parent / relative
