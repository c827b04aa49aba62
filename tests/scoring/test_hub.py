"""Models on the hub: names, the cache, no network. The cache is laid out on disk as huggingface_hub lays it out."""

import hashlib
import os
import shutil
import subprocess
import sys

import pytest
from huggingface_hub import constants

from distilmos_plugin.errors import ModelError
from distilmos_plugin.files import file_digest
from distilmos_plugin.scoring import hub, models

from ..models.official_layout import Size, layout, random_state
from .material import RATE, speech, write
from .test_official import write_official

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Cache:
    """A hub cache: files are links to blobs that are called by their digests."""

    def __init__(self, home):
        self.home = home

    def repository(self, name):
        return self.home / "hub" / f"models--{name.replace('/', '--')}"

    def add(self, name, folder, files, commit=COMMIT, revision="main"):
        """Put files into a repository's folder, as a download does."""
        repository = self.repository(name)
        (repository / "refs").mkdir(parents=True, exist_ok=True)
        (repository / "refs" / revision).write_text(commit)
        (repository / "blobs").mkdir(exist_ok=True)
        target = repository / "snapshots" / commit / folder
        target.mkdir(parents=True, exist_ok=True)
        for file in files:
            content = file.read_bytes()
            git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # what the hub has for small text files
            digest = file_digest(file) if file.suffix in (".safetensors", ".tar") else git
            blob = repository / "blobs" / digest
            blob.write_bytes(content)
            (target / file.name).symlink_to(os.path.relpath(blob, target))
        return target


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, in offline mode: what HF_HOME and HF_HUB_OFFLINE=1 do when a process starts."""
    home = tmp_path / "home"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return Cache(home)


@pytest.fixture(scope="session")
def official(tmp_path_factory):
    size = Size(layers=2)
    return write_official(tmp_path_factory.mktemp("official") / "w2v2", "w2v2", random_state(layout("w2v2", size)), size)


@pytest.mark.parametrize(
    ("name", "repository", "folder", "revision"),
    [
        ("hf:owner/models", "owner/models", "", None),
        ("hf:owner/models@v1.0", "owner/models", "", "v1.0"),
        ("hf:owner/models/bvcc/small@refs/pr/2", "owner/models", "bvcc/small", "refs/pr/2"),
        ("official:wavlm", "BaleYang/DistilMOS", "wavlm", None),
        (f"official:w2v2@{COMMIT}", "BaleYang/DistilMOS", "w2v2", COMMIT),
    ],
)
def test_names(name, repository, folder, revision):
    found = hub.reference(name)
    assert (found.repository, found.folder, found.revision) == (repository, folder, revision)


@pytest.mark.parametrize(
    "name",
    ["hf:", "hf:models", "hf:owner/", "hf:owner/models/", "hf:owner/models/../x", "hf:owner/models@", "hf:o/m/*", "hf:o/m@.."],
)
def test_what_is_no_name_on_the_hub_is_refused(name):
    with pytest.raises(ModelError, match="expected hf:owner/repository"):
        hub.reference(name)


def test_an_unknown_backbone_suggests_the_nearest():
    with pytest.raises(ModelError, match="did you mean 'official:w2v2'"):
        models.load("official:w2v")


def test_other_names_are_not_the_hubs(release):
    assert hub.reference("exp/x/model") is None
    assert models.load(release, "cpu").source == ""


def test_a_release_on_the_hub_scores_as_the_folder_does_and_says_where_it_came_from(cache, release):
    cache.add("owner/models", "small", release.iterdir())
    local, loaded = models.load(release, "cpu"), models.load("hf:owner/models/small", "cpu")
    assert loaded.score(speech(1.0), RATE).mos == local.score(speech(1.0), RATE).mos
    assert loaded.signature == local.signature
    digest = file_digest(release / "model.safetensors")
    assert loaded.source == f"owner/models/small@{COMMIT}, sha256 of model.safetensors {digest}"
    assert f"@{digest[:12]}|" in loaded.signature


def test_an_official_checkpoint_comes_by_its_short_name(cache, official):
    cache.add("BaleYang/DistilMOS", "w2v2", official.iterdir())
    local, loaded = models.load(official, "cpu"), models.load("official:w2v2", "cpu")
    assert loaded.score(speech(1.0), RATE).mos == local.score(speech(1.0), RATE).mos
    assert loaded.signature.split("|")[1] == f"model:official:w2v2@{local.digest}"
    assert (
        f"BaleYang/DistilMOS/w2v2@{COMMIT}, sha256 of model.pth.tar {file_digest(official / 'model.pth.tar')}" in loaded.source
    )


def test_a_revision_is_what_it_was(cache, release, official):
    cache.add("owner/models", "", official.iterdir())
    cache.add("owner/models", "", release.iterdir(), commit="f" * 40, revision="v2")
    digests = [models.load(f"hf:owner/models{at}", "cpu").digest for at in ("", "@v2", "@" + COMMIT, "@" + "f" * 40)]
    assert digests[0] == digests[2] != digests[1] == digests[3]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("hf:owner/models", "hf download owner/models;"),
        ("hf:owner/models/small@v2", "hf download owner/models --include 'small/*' --revision v2;"),
        ("official:wavlm", "hf download BaleYang/DistilMOS --include 'wavlm/*';"),
    ],
)
def test_without_a_network_the_error_says_how_to_fetch_the_model_and_where_it_is_looked_for(name, command, cache):
    with pytest.raises(ModelError) as raised:
        models.load(name)
    assert command in str(raised.value)
    assert f"not in the cache ({cache.home / 'hub'}), and HF_HUB_OFFLINE is set." in str(raised.value)


def test_another_model_of_the_repository_is_not_this_one(cache, release):
    cache.add("owner/models", "small", release.iterdir())
    with pytest.raises(ModelError, match=r"model 'hf:owner/models/large': neither config\.yaml and model\.safetensors, nor"):
        models.load("hf:owner/models/large")


@pytest.mark.parametrize("name", ["config.yaml", "model.safetensors"])
def test_a_download_that_lacks_a_file_is_recognised(name, cache, release):
    cache.add("owner/models", "small", [path for path in release.iterdir() if path.name != name])
    with pytest.raises(ModelError, match="its download was cut off: hf download owner/models --include 'small/\\*'"):
        models.load("hf:owner/models/small")


@pytest.mark.parametrize("name", ["config.yaml", "model.safetensors", "README.md"])
def test_a_file_that_was_cut_off_is_recognised(name, cache, release):
    folder = cache.add("owner/models", "small", release.iterdir())
    blob = (folder / name).resolve()
    blob.write_bytes(blob.read_bytes()[:-1])
    with pytest.raises(
        ModelError, match=rf"{name} is damaged or incomplete \(\d+ bytes, digest differs\); remove .*{blob.name}"
    ):
        models.load("hf:owner/models/small")


def test_a_cache_that_was_copied_without_its_links_still_loads(cache, release, tmp_path, monkeypatch):
    cache.add("owner/models", "", release.iterdir())
    shutil.copytree(cache.home, tmp_path / "copy")  # files in place of links
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "copy" / "hub"))
    assert models.load("hf:owner/models", "cpu").score(speech(1.0), RATE).ok


def test_the_command_says_once_what_the_model_is_and_where_it_came_from(cache, release, tmp_path):
    cache.add("owner/models", "small", release.iterdir())
    clip = write(tmp_path / "a.wav", speech(1.0))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_HOME": str(cache.home), "HF_HUB_OFFLINE": "1"}
    code = "from distilmos_plugin.scoring.run import score_paths\n"
    code += f"for _ in range(2): score_paths([{str(clip)!r}], model='hf:owner/models/small')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    label = f"model small_distilmos@{file_digest(release / 'model.safetensors')[:12]}"
    assert done.stderr.startswith(f"{label}: Random weights, for tests.\n{label} is owner/models/small@{COMMIT}, sha256 of")
    assert done.stderr.count(label) == 2
