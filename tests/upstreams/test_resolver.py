"""Names of upstreams, without s3prl.hub."""

import json
import subprocess
import sys

import pytest

from distilmos_plugin.errors import UpstreamError
from distilmos_plugin.upstreams import resolver

REAL_HUB = """
import json, sys, types
for package in ("byol_s", "mos_prediction"):  # the two that no longer import beside torchaudio 2.9
    sys.modules[f"s3prl.upstream.{package}.hubconf"] = types.ModuleType(package)
from s3prl import hub
print(json.dumps({name: getattr(hub, name).__module__ for name in hub.options()}))
"""


@pytest.fixture(scope="module")
def entries():
    return {entry.name: entry for entry in resolver.list_upstreams()}


def test_no_name_of_the_real_hub_is_missing_or_found_in_another_module(entries):
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", REAL_HUB], capture_output=True, text=True, check=True)
    hub = json.loads(run.stdout.splitlines()[-1])
    upstreams = {name: module for name, module in hub.items() if module.endswith(".hubconf")}  # the hub leaks its imports too
    assert len(upstreams) > 180
    elsewhere = {name: module for name, module in upstreams.items() if entries[name].module != module}
    assert elsewhere == {"vq_apc_url": "s3prl.upstream.apc.hubconf"}  # vq_apc takes this function over from apc


def test_names_that_the_hub_hides_or_cannot_import_are_found_too(entries):
    assert {"spec_augment", "timit_posteriorgram_local", "byol_s_cvt", "mos_wav2vec2", "vq_apc_url", "tiny"} <= set(entries)


def test_the_later_import_of_a_name_wins_as_in_the_hub(entries):
    assert entries["wav2vec2_local"].package == "wav2vec2"  # vq_wav2vec defines the name as well


def test_looking_names_up_imports_neither_torch_nor_s3prl():
    code = "import sys; from distilmos_plugin.upstreams import list_upstreams; list_upstreams()"
    code += "; assert not {'torch', 's3prl', 'torchaudio', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "needs", "batching"),
    [
        ("tiny", "nothing", "exact"),
        ("fbank", "nothing", "equal lengths"),
        ("wavlm_base_plus", "network", "exact"),
        ("hubert", "network", "exact"),  # an alias that calls the function with the address
        ("passt_base", "network", "equal lengths"),
        ("wavlm_local", "checkpoint", "exact"),
        ("hubert_local", "checkpoint", "exact"),  # takes *args and hands them on
        ("hf_wav2vec2_custom", "checkpoint", "exact"),
        ("wav2vec2_conformer_rope", "network", "equal lengths"),
        ("data2vec", "network", "equal lengths"),
    ],
)
def test_marks_say_what_an_upstream_needs_and_how_it_is_batched(entries, name, needs, batching):
    assert (entries[name].needs, entries[name].batching) == (needs, batching)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("byol_s_default", "torchaudio"),
        ("mos_tera", "torchaudio"),
        ("vq_wav2vec_kmeans_roberta", "s3prl.hub"),
        ("stft_mag", "model_config"),
        ("pase_plus", "pase"),
    ],
)
def test_an_upstream_that_cannot_be_used_says_why(entries, name, reason):
    assert reason in entries[name].broken


def test_most_upstreams_are_not_marked_as_broken(entries):
    assert sum(not entry.broken for entry in entries.values()) >= 150
    assert not entries["wavlm_large"].broken


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UpstreamError, match="did you mean 'wavlm_base_plus'"):
        resolver.entry("wavlm_base_pls")


def test_a_path_that_holds_no_upstream_is_not_taken_for_a_name_of_s3prl():
    with pytest.raises(UpstreamError, match="'exp/x/sfi/distilled': no folder of an SFI upstream"):
        resolver.entry("exp/x/sfi/distilled")
