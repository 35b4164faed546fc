from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from pipeline.errors import NoPhotos, StorageError
from pipeline.find import OWN_MARK, count_photos, find_photos, own_folder, printable
from pipeline.types import Photo, PhotoFailure


def put(path: Path, content: bytes | None = None) -> Path:
    """A file whose content is its name, so that no two are alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.fsencode(path.name) if content is None else content)
    return path


def names(*paths: Path | str) -> list[str]:
    return [photo.path.name for photo in found(*paths)]


def found(*paths: Path | str) -> list[Photo]:
    outcomes = list(find_photos(paths))
    assert all(isinstance(outcome, Photo) for outcome in outcomes), outcomes
    assert count_photos(paths) == len(outcomes)
    return [outcome for outcome in outcomes if isinstance(outcome, Photo)]


def failure(*paths: Path | str) -> PhotoFailure:
    (outcome,) = find_photos(paths)
    assert isinstance(outcome, PhotoFailure)
    return outcome


def test_a_photo_is_known_by_its_content(tmp_path: Path) -> None:
    path = put(tmp_path / "a.jpg", b"x" * 3_000_000)
    assert found(path) == [Photo(path, hashlib.sha256(b"x" * 3_000_000).hexdigest(), 3_000_000)]


def test_a_folder_is_searched_to_the_bottom_for_photos_only(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.JPEG", "c.png", "d.WebP", "e.tif", "f.TIFF", "g.heic", "h.HEIF"):
        put(tmp_path / "N01" / name)
    put(tmp_path / "N01" / "NORTE" / "C07" / "deep.jpg")
    for name in ("notes.txt", "jpg", "film.mp4", "Thumbs.db", ".hidden.jpg", "._a.jpg"):
        put(tmp_path / "N01" / name)
    put(tmp_path / "@eaDir" / "thumb.jpg")
    put(tmp_path / ".trash" / "old.jpg")
    assert names(tmp_path) == [
        "a.jpg", "b.JPEG", "c.png", "d.WebP", "e.tif", "f.TIFF", "g.heic", "h.HEIF", "deep.jpg",
    ]  # fmt: skip


def test_numbers_in_names_count_by_value(tmp_path: Path) -> None:
    for name in ("IMG_10.jpg", "IMG_9.jpg", "IMG_009.jpg", "a.jpg", "B.jpg", "é.jpg"):
        put(tmp_path / name)
    put(tmp_path / "day 10" / "x.jpg")
    put(tmp_path / "day 9" / "y.jpg")
    assert names(tmp_path) == [
        "B.jpg", "IMG_009.jpg", "IMG_9.jpg", "IMG_10.jpg", "a.jpg", "é.jpg", "y.jpg", "x.jpg",
    ]  # fmt: skip


def test_a_photo_that_is_reached_twice_comes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "beds" / "a.jpg")
    put(tmp_path / "beds" / "b.jpg")
    (tmp_path / "again").symlink_to(tmp_path / "beds")
    (tmp_path / "c.jpg").symlink_to(tmp_path / "beds" / "a.jpg")
    monkeypatch.chdir(tmp_path)
    assert names("beds/b.jpg", "beds", "./beds/../beds/a.jpg", "beds/*.jpg", "again", tmp_path) == [
        "b.jpg",
        "a.jpg",
    ]


def test_links_that_go_round_in_circles_end(tmp_path: Path) -> None:
    put(tmp_path / "a" / "one.jpg")
    put(tmp_path / "b" / "two.jpg")
    for folder in ("a", "b"):
        (tmp_path / folder / "up").symlink_to(tmp_path)
        (tmp_path / folder / "self").symlink_to(tmp_path / folder)
    assert names(tmp_path) == ["one.jpg", "two.jpg"]
    assert names(f"{tmp_path}/**/*.jpg") == ["one.jpg", "two.jpg"]


def test_a_pattern_finds_files_and_folders(tmp_path: Path) -> None:
    for bed in ("N01", "N02", ".git"):
        put(tmp_path / bed / "a.jpg", bed.encode())
        put(tmp_path / bed / "notes.txt")
    put(tmp_path / "N01" / "b.jfif")
    assert [photo.path for photo in found(f"{tmp_path}/N*")] == [
        tmp_path / "N01" / "a.jpg",
        tmp_path / "N02" / "a.jpg",
    ]
    assert [photo.path for photo in found(f"{tmp_path}/*/[ab].*")] == [
        tmp_path / "N01" / "a.jpg",
        tmp_path / "N02" / "a.jpg",
    ]
    assert names(f"{tmp_path}/N0?/*.jfif") == ["b.jfif"]
    assert [photo.path for photo in found(f"{tmp_path}/.git/*.jpg")] == [tmp_path / ".git" / "a.jpg"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    put(tmp_path / "bed [1].jpg")
    put(tmp_path / "bed 1.jpg")
    assert names(tmp_path / "bed [1].jpg") == ["bed [1].jpg"]


def test_a_file_named_by_hand_is_tried_whatever_its_extension(tmp_path: Path) -> None:
    assert names(put(tmp_path / "photo.dat"), put(tmp_path / ".hidden")) == ["photo.dat", ".hidden"]


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("nowhere.jpg", "no file or folder"),
        ("nowhere/deep/a.jpg", "no file or folder"),
        ("photos/*.png", "matches no photo"),
        ("nowhere/*.png", "matches no photo"),
        ("empty", "holds no photo"),
        ("no photos", "holds no photo"),
        ("broken.jpg", "link to a file that does not exist"),
        ("photos/a.jpg/b.jpg", "cannot be opened"),
        ("x" * 300, "cannot be opened"),
    ],
)
def test_a_path_that_leads_nowhere_stops_everything_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, sentence: str
) -> None:
    put(tmp_path / "photos" / "a.jpg")
    put(tmp_path / "no photos" / "deep" / "notes.txt")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "gone.jpg")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoPhotos, match=sentence) as caught:
        find_photos(["photos", path])
    assert path in str(caught.value)
    with pytest.raises(NoPhotos, match=sentence):
        count_photos([path])


def test_every_wrong_path_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(NoPhotos, match=r"one\.jpg.*two\.jpg"):
        find_photos([tmp_path / "one.jpg", tmp_path / "two.jpg"])


def test_no_path_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoPhotos, match="No photo was named"):
        find_photos([])


def test_files_are_read_one_by_one(tmp_path: Path) -> None:
    for number in range(5):
        put(tmp_path / f"{number}.jpg")
    photos = find_photos([tmp_path])
    assert [outcome.photo.path.name if isinstance(outcome, PhotoFailure) else outcome.path.name
            for outcome in islice(photos, 2)] == ["0.jpg", "1.jpg"]  # fmt: skip
    put(tmp_path / "3.jpg", b"written after the search began")
    (tmp_path / "4.jpg").unlink()
    second, third, fourth = photos
    assert isinstance(second, Photo)
    assert isinstance(third, Photo)
    assert third.sha256 == hashlib.sha256(b"written after the search began").hexdigest()
    assert isinstance(fourth, PhotoFailure)
    assert "4.jpg is gone" in fourth.reason


def test_an_empty_file_fails_alone(tmp_path: Path) -> None:
    put(tmp_path / "a.jpg", b"")
    put(tmp_path / "b.jpg")
    first, second = find_photos([tmp_path])
    assert isinstance(first, PhotoFailure)
    assert first.photo == Photo(tmp_path / "a.jpg", "", 0)
    assert "empty (0 bytes)" in first.reason
    assert isinstance(second, Photo)


def test_a_file_that_grows_while_it_is_read_fails(tmp_path: Path) -> None:
    # A real writer, as a camera's cable would be: it appends until this test kills it.
    path = put(tmp_path / "a.jpg")
    os.truncate(path, 300_000_000)  # holes: large to read, nothing on the disk
    program = "import sys, time\nwhile True:\n  open(sys.argv[1], 'ab').write(b'x'); time.sleep(0.001)"
    writer = subprocess.Popen([sys.executable, "-c", program, str(path)])
    try:
        while path.stat().st_size == 300_000_000:
            pass
        outcome = failure(path)
    finally:
        writer.kill()
        writer.wait()
    assert "changed while it was read" in outcome.reason


def test_what_is_no_regular_file_fails_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "not a regular file" in failure(tmp_path / "pipe.jpg").reason
    assert "not a regular file" in failure("/dev/zero").reason


def test_a_link_to_nothing_in_a_folder_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "b.jpg")
    first, second = find_photos([tmp_path])
    assert isinstance(first, PhotoFailure)
    assert "is gone" in first.reason
    assert isinstance(second, PhotoFailure)
    assert "cannot be read" in second.reason


def as_nobody(program: str, *arguments: Path) -> str:
    """Run Python as a user to whom permissions apply, which they do not to root."""
    leave = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    prelude = leave if os.geteuid() == 0 else ""
    # Imported before the change of user, who may not be able to enter the folder of the sources.
    setup = "import sys\nfrom pipeline.find import *\nfrom pipeline.errors import NoPhotos\n"
    done = subprocess.run(
        [sys.executable, "-c", setup + prelude + program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return done.stdout


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that every user can enter, unlike pytest's own."""
    for parent in (tmp_path, *tmp_path.parents[:3]):  # three, where tests run in several processes
        if parent.name.startswith(("pytest-", "popen-", tmp_path.name)):
            parent.chmod(0o755)
    return tmp_path


def test_a_file_without_read_permission_fails_alone(open_folder: Path) -> None:
    put(open_folder / "a.jpg").chmod(0)
    put(open_folder / "b.jpg")
    shown = as_nobody("for o in find_photos([sys.argv[1]]): print(getattr(o, 'reason', o))", open_folder)
    refused, counted = shown.splitlines()
    assert refused.startswith(f"{open_folder}/a.jpg may not be read by this user")
    assert "b.jpg" in counted


def test_a_folder_without_permission_is_said_not_passed_over(open_folder: Path) -> None:
    put(open_folder / "shut" / "a.jpg")
    put(open_folder / "open" / "b.jpg")
    (open_folder / "shut").chmod(0)
    try:
        shown = as_nobody(
            "for o in find_photos([sys.argv[1]]): print(getattr(o, 'reason', o))\n"
            "try: find_photos([sys.argv[1] + '/shut'])\n"
            "except NoPhotos as error: print(error)",
            open_folder,
        )
    finally:
        (open_folder / "shut").chmod(0o700)
    counted, refused, alone = shown.splitlines()
    assert "b.jpg" in counted
    assert refused == alone
    assert refused.startswith(f"{open_folder}/shut may not be read by this user")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"with space.jpg", "with space.jpg"),
        ("niñera año.jpg".encode(), "niñera año.jpg"),
        ("nin\u0303era.jpg".encode(), "nin\u0303era.jpg"),
        (b"two\nlines.jpg", "two\\nlines.jpg"),
        (b"latin \xe9.jpg", "latin \\xe9.jpg"),
        (b"red \x1b[31m\x07.jpg", "red \\x1b[31m\\x07.jpg"),
        ("turned \u202egpj.jpg".encode(), "turned \\u202egpj.jpg"),
        ("\u85de\U0001f331.jpg".encode(), "\u85de\U0001f331.jpg"),
    ],
)
def test_odd_names_are_found_and_shown_safely(tmp_path: Path, name: bytes, shown: str) -> None:
    path = put(tmp_path / os.fsdecode(name))
    assert found(tmp_path)[0].path == path
    assert found(path)[0].size == len(name)
    assert printable(path.name) == shown
    printable(path).encode("utf-8")
    path.write_bytes(b"")
    assert shown in failure(tmp_path).reason


def test_pictures_of_our_own_are_not_counted_again(tmp_path: Path) -> None:
    put(tmp_path / "a.jpg")
    own_folder(tmp_path / "drawn" / "today")
    put(tmp_path / "drawn" / "today" / "overlay.jpg")
    put(tmp_path / "drawn" / "today" / "deep" / "overlay.jpg")
    assert names(tmp_path) == ["a.jpg"]
    assert names(f"{tmp_path}/**/*.jpg") == ["a.jpg"]
    with pytest.raises(NoPhotos, match="own"):
        find_photos([tmp_path / "drawn"])
    own_folder(tmp_path / "drawn" / "today")


def test_a_folder_of_photos_does_not_become_ours(tmp_path: Path) -> None:
    put(tmp_path / "beds" / "deep" / "a.jpg")
    with pytest.raises(StorageError, match="name a folder of its own"):
        own_folder(tmp_path / "beds")
    assert not (tmp_path / "beds" / OWN_MARK).exists()
    assert names(tmp_path) == ["a.jpg"]
    with pytest.raises(StorageError, match="cannot be used for pictures"):
        own_folder(tmp_path / "beds" / "deep" / "a.jpg")


def test_a_link_out_of_the_named_folder_fails_unless_its_target_is_named_too(tmp_path: Path) -> None:
    secret, inbox = tmp_path / "secret", tmp_path / "inbox"
    for folder in (secret, inbox):
        folder.mkdir()
    (secret / "payroll.jpg").write_bytes(b"not for everybody")
    (inbox / "a.jpg").write_bytes(b"a photo")
    (inbox / "b.jpg").symlink_to(secret / "payroll.jpg")
    (inbox / "c").symlink_to(secret)

    found = {
        Path(one.photo.path if isinstance(one, PhotoFailure) else one.path).name: one
        for one in find_photos([inbox])
    }
    assert isinstance(found["a.jpg"], Photo)
    for name in ("b.jpg", "c"):
        failure = found[name]
        assert isinstance(failure, PhotoFailure)
        assert "link out of the folders" in failure.reason
        assert failure.photo.sha256 == ""  # not even read

    by_pattern = [type(one) for one in find_photos([f"{inbox}/*.jpg"])]
    assert by_pattern == [Photo, PhotoFailure]
    assert [type(one) for one in find_photos([inbox, secret])] == [Photo, Photo]
    assert [type(one) for one in find_photos([inbox / "b.jpg"])] == [Photo]  # named by a person
