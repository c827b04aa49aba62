"""Configuration files: every key and type is checked, and the message says what to write instead."""

import pytest

from distilmos_plugin.config import Config, OptimConfig, load_config, override
from distilmos_plugin.errors import ConfigError
from distilmos_plugin.typed_yaml import parse, to_dict


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "x.yaml: missing key 'system'"),
        ({"system": "a", "optm": "adam"}, "x.yaml: unknown key 'optm', did you mean 'optim'?"),
        ({"system": "a", "optim": "adm"}, "x.yaml: optim: 'adm' is not one of adam, adamw, radam, sgd, did you mean 'adam'?"),
        ({"system": "a", "optim_conf": {"lrr": 1}}, "x.yaml: optim_conf: unknown key 'lrr', did you mean 'lr'?"),
        ({"system": "a", "max_epoch": "3"}, "x.yaml: max_epoch: expected a whole number, found '3'"),
        ({"system": "a", "max_epoch": True}, "x.yaml: max_epoch: expected a whole number, found True"),
        ({"system": "a", "use_amp": 1}, "x.yaml: use_amp: expected true or false, found 1"),
        ({"system": "a", "targets": "mos"}, "x.yaml: targets: expected a list, found 'mos'"),
        ({"system": "a", "optim_conf": {"betas": [0.9]}}, "x.yaml: optim_conf: betas: expected 2 values, found 1"),
        ({"system": "a", "model_conf": []}, "x.yaml: model_conf: expected a mapping of keys to values, found []"),
        (["system"], "x.yaml: expected a mapping of keys to values, found ['system']"),
    ],
)
def test_a_mistake_is_named_with_file_and_key(values, message):
    with pytest.raises(ConfigError) as error:
        parse(Config, values, "x.yaml")
    assert str(error.value).startswith(message)


def test_numbers_may_be_written_as_people_write_them():
    assert parse(OptimConfig, {"lr": "1e-4", "weight_decay": 0}, "x") == OptimConfig(lr=1e-4, weight_decay=0.0)


def test_what_is_written_reads_back_equal(tmp_path):
    import yaml

    config = parse(Config, {"system": "a", "token_conf": {"layers": [1, 2]}, "model_conf": {"kernels": [5, 3]}}, "x")
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(to_dict(config)))
    assert load_config(path) == config


def test_settings_on_the_command_line_replace_those_of_the_file():
    config = override(Config(system="a"), ["optim_conf.lr=2e-3", "model_conf.hidden_dim=64", "patience=null", "upstream=tiny"])
    assert (config.optim_conf.lr, config.model_conf, config.patience) == (2e-3, {"hidden_dim": 64}, None)
    assert config.upstream == "tiny"
    for wrong, message in (
        ("lr", "not of the form key=value"),
        ("lr=1", "unknown key 'lr'"),
        ("seed.a=1", "'seed' is not a section"),
    ):
        with pytest.raises(ConfigError, match=message):
            override(config, [wrong])


@pytest.mark.parametrize("text", ["a: [", "a: !!python/object/apply:os.system [echo]", "\udcff"])
def test_a_file_that_is_not_plain_yaml_is_named_and_nothing_in_it_is_run(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_config(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file"):
        load_config(tmp_path / "none.yaml")
