from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import ModelChoice, PipelineConfig
from pipeline.detect import detector_card, load_detector
from pipeline.errors import ModelError
from pipeline.weights import load_card, require_trusted, sha256_of
from tests.pipeline.networks import write_card

CALIBRATION: dict[str, Any] = {
    "version": "1",
    "scores": [0.1, 0.9],
    "sizes": [10, 100],
    "worth": [[0.2, 0.3], [1, 1.1]],
    "loose": [0, 0.5],
    "spread": 1.2,
}


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """The card of a model of two files."""
    files = [tmp_path / "plant.xml", tmp_path / "plant.bin"]
    files[0].write_bytes(b"<net/>")
    files[1].write_bytes(bytes(1000))
    return write_card(tmp_path / "plant.json", files, name="plant", version="2026.1")


def edit(card: Path, **changes: Any) -> None:
    card.write_text(json.dumps(json.loads(card.read_text()) | changes))


def test_a_card_says_what_the_model_is(card: Path) -> None:
    model = load_card(card)
    assert (model.label, model.task, model.classes) == ("plant-2026.1", "detect", ("plant",))
    assert (model.width, model.height, model.padding, model.min_score) == (64, 64, 0, 0.5)
    assert model.weights == card.with_name("plant.xml")


@pytest.mark.parametrize("name", ["plant.xml", "plant.bin", "plant.json"])
def test_weights_lead_to_the_card_beside_them(card: Path, name: str) -> None:
    assert load_card(card.with_name(name)) == load_card(card)


@pytest.mark.parametrize("name", ["plant.xml", "plant.bin"])
def test_a_tampered_file_is_refused_by_name(card: Path, name: str) -> None:
    file = card.with_name(name)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(ModelError, match=rf"{name} is damaged or was exchanged"):
        load_card(card)


def test_a_missing_file_is_named(card: Path) -> None:
    card.with_name("plant.bin").unlink()
    with pytest.raises(
        ModelError, match=r"plant\.bin, which plant\.json names, is missing; install Demeter again"
    ):
        load_card(card)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    for name in ("no.json", "no.xml", "no"):
        with pytest.raises(ModelError, match=f"there is no model at .*{name}"):
            load_card(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b'{"name": "pl', b"\xff\xfe{", b"[" * 100_000])
def test_a_damaged_card_is_named(card: Path, content: bytes) -> None:
    card.write_bytes(content)
    with pytest.raises(ModelError, match=r"plant\.json"):
        load_card(card)


@pytest.mark.parametrize("key", ["name", "version", "task", "files", "classes", "input", "min_score"])
def test_a_missing_key_is_named(card: Path, key: str) -> None:
    content = json.loads(card.read_text())
    del content[key]
    card.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=rf"plant\.json.*'{key}'"):
        load_card(card)


@pytest.mark.parametrize("path", ["../secret.bin", "/etc/hostname", "deep/plant.bin", ".."])
def test_a_card_reaches_no_file_but_its_neighbours(card: Path, path: str) -> None:
    edit(card, files={path: "0" * 64})
    with pytest.raises(ModelError, match="not a file beside it"):
        load_card(card)


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {}},
        {"files": ["plant.xml"]},
        {"files": {"": "0" * 64}},
        {"classes": []},
        {"classes": "plant"},
        {"input": {"width": 0, "height": 64}},
        {"input": {"width": 64, "height": -64}},
        {"input": {"width": 10**9, "height": 64}},
        {"input": {"width": 1e999, "height": 64}},
        {"input": {"width": 64, "height": 64, "letterbox": 256}},
        {"input": 64},
        {"min_score": 7},
        {"min_score": -0.1},
        {"min_score": float("nan")},
        {"min_score": None},
        {"task": "classify"},
        {"calibration": 7},
        {"calibration": {"scores": [0.1, 0.5]}},
        {"calibration": CALIBRATION | {"scores": [0.5, 0.1]}},
        {"calibration": CALIBRATION | {"scores": [0.1, 10**400]}},
        {"calibration": CALIBRATION | {"scores": [0.1, 1e999]}},
        {"calibration": CALIBRATION | {"worth": [[1, 1]]}},
        {"calibration": CALIBRATION | {"worth": [[1, 1], [1, -1]]}},
        {"calibration": CALIBRATION | {"loose": [1, float("nan")]}},
        {"calibration": CALIBRATION | {"spread": 0}},
        {"calibration": CALIBRATION | {"spread": 10**400}},
    ],
)
def test_absurd_figures_are_refused(card: Path, changes: dict[str, Any]) -> None:
    edit(card, **changes)
    with pytest.raises(ModelError, match=r"plant\.json"):
        load_card(card)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["name", "version", "task", "files", "classes", "input", "min_score", "calibration"])


@settings(max_examples=40, deadline=None)
@given(JSON | st.dictionaries(KEYS, JSON))
def test_whatever_a_card_holds_the_answer_is_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"any\.json"):
        load_card(path)


def test_a_card_that_is_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "plant.json").mkdir()
    with pytest.raises(ModelError, match=r"plant\.json"):
        load_card(tmp_path / "plant.json")


def test_a_path_that_no_system_takes_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="xxx"):
        load_card(tmp_path / ("x" * 300 + ".json"))


def test_another_weight_is_another_digest(card: Path) -> None:
    before = load_card(card).digest
    weights = card.with_name("plant.bin")
    weights.write_bytes(bytes(999) + b"\1")
    files = json.loads(card.read_text())["files"]
    edit(card, files=files | {"plant.bin": hashlib.sha256(weights.read_bytes()).hexdigest()})
    assert load_card(card).digest != before


def test_another_calibration_is_another_digest(card: Path) -> None:
    plain = load_card(card)
    assert plain.calibration is None
    edit(card, calibration=CALIBRATION)
    one = load_card(card)
    assert one.calibration is not None
    assert one.calibration.floor == 0.1
    edit(card, calibration=CALIBRATION | {"spread": 1.3})
    assert len({plain.digest, one.digest, load_card(card).digest}) == 3


def test_weights_that_a_neighbours_card_does_not_name_are_not_taken_for_its_model(card: Path) -> None:
    other = card.with_name("plant.pt")
    other.write_bytes(b"torch")
    with pytest.raises(ModelError, match=r"plant\.json .*does not name plant\.pt"):
        load_card(other)


def test_weights_without_a_card_count_plants_and_are_known_by_their_content(tmp_path: Path) -> None:
    bare = tmp_path / "mine.xml"
    bare.write_bytes(b"<net/>")
    bare.with_suffix(".bin").write_bytes(b"one")
    first = load_card(bare)
    assert (first.name, first.task, first.classes) == ("mine", "detect", ("plant",))
    bare.with_suffix(".bin").write_bytes(b"two")
    assert load_card(bare).digest != first.digest


def test_a_card_may_name_the_same_network_in_eight_bits(card: Path) -> None:
    assert load_card(card).int8 is None
    edit(card, int8="plant-int8.json")
    assert load_card(card).int8 == card.with_name("plant-int8.json")
    for odd in ("../plant-int8.json", "plant-int8.xml", 8):
        edit(card, int8=odd)
        with pytest.raises(ModelError, match=r"int8 is .*, which is no card beside it"):
            load_card(card)


def test_eight_bits_are_another_model_only_where_the_card_allows_them(card: Path, tmp_path: Path) -> None:
    config = PipelineConfig(ModelChoice(card), ModelChoice(card))
    assert detector_card(config) == load_card(card)
    with pytest.raises(ModelError, match=r"has no INT8 form.*tools/quantize\.py"):
        detector_card(replace(config, precision="int8"))
    small = tmp_path / "plant-int8.xml"
    small.write_bytes(b"<small/>")
    write_card(tmp_path / "plant-int8.json", [small], name="plant-int8", version="2026.1")
    edit(card, int8="plant-int8.json")
    chosen = detector_card(replace(config, precision="int8"))
    assert chosen.weights == small
    assert chosen.digest != load_card(card).digest


@pytest.mark.parametrize("name", ["mine.pt", "mine.pth", "mine.ckpt", "mine.PT", "mine.bin", "mine"])
def test_weights_that_may_carry_code_are_loaded_only_if_trusted_by_hash(tmp_path: Path, name: str) -> None:
    weights = tmp_path / name
    weights.write_bytes(b"code")
    digest = sha256_of(weights)
    card = replace(load_card(weights), weights=weights)
    with pytest.raises(ModelError, match=rf'trusted_pickles = \["{digest}"\]'):
        require_trusted(card, ())
    with pytest.raises(ModelError, match="may carry code"):
        require_trusted(card, ("0" * 64,))
    require_trusted(card, (digest,))
    weights.write_bytes(b"other code")
    with pytest.raises(ModelError, match="may carry code"):
        require_trusted(card, (digest,))


def test_no_card_vouches_for_code(tmp_path: Path) -> None:
    """The way that a detector goes, with a pickle that would leave a mark if it were loaded."""
    mark, weights = tmp_path / "was here", tmp_path / "evil.pt"
    weights.write_bytes(b"cos\nsystem\n(S'touch \"" + bytes(mark) + b"\"'\ntR.")
    card = tmp_path / "evil.json"
    content = {
        "name": "evil", "version": "1", "task": "detect", "classes": ["plant"], "min_score": 0.5,
        "input": {"width": 64, "height": 64}, "files": {weights.name: sha256_of(weights)},
    }  # fmt: skip
    card.write_text(json.dumps(content), encoding="utf-8")
    choice = ModelChoice(card, "ultralytics")
    with pytest.raises(ModelError, match="may carry code"):
        load_detector(PipelineConfig(choice, choice))
    assert not mark.exists()


@pytest.mark.parametrize("name", ["a.xml", "a.onnx", "a.safetensors"])
def test_graphs_and_arrays_carry_no_code(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"graph")
    require_trusted(load_card(tmp_path / name), ())
