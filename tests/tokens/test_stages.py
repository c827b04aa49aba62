"""Stages 2 and 3: skipped when current, redone when their inputs change."""

from dataclasses import replace

import pytest

from distilmos_plugin.config import Config, LossConfig, TokenConfig
from distilmos_plugin.errors import TokenError
from distilmos_plugin.tokens.codebook import FILE, CodeBook
from distilmos_plugin.tokens.extract import read_tokens
from distilmos_plugin.tokens.stages import CODEBOOK, extract_stage, learn_stage
from distilmos_plugin.upstreams.upstream import load_upstream

from .conftest import CONF

CONFIG = Config(
    system="distilmos", upstream="tiny", token_conf=replace(CONF, layers=(1, 3)), loss_conf=LossConfig(token_weight=1.0)
)


def contents(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def done(directory, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stages")
    learn_stage(CONFIG, directory.path, folder)
    extract_stage(CONFIG, directory.path, folder)
    return folder


def test_both_stages_leave_what_training_opens(done, directory):
    book, tokens = CodeBook.load(done / CODEBOOK / FILE), read_tokens(done)
    book.check_upstream(load_upstream("tiny"))
    assert tokens.codebook == book.digest
    assert book.layers == (1, 3)
    assert tokens[directory.keys[0]].shape[1] == 2


def test_a_second_call_does_nothing_and_says_so(done, directory, capsys):
    before = contents(done)
    learn_stage(CONFIG, directory.path, done)
    extract_stage(CONFIG, directory.path, done)
    assert contents(done) == before
    assert capsys.readouterr().err.count("complete and current") == 2


def test_other_settings_are_learned_again_and_then_extracted_again(directory, tmp_path):
    def digests():
        return CodeBook.load(tmp_path / CODEBOOK / FILE).digest, read_tokens(tmp_path).codebook

    learn_stage(CONFIG, directory.path, tmp_path)
    extract_stage(CONFIG, directory.path, tmp_path)
    changed = replace(CONFIG, token_conf=replace(CONFIG.token_conf, seed=8))
    learn_stage(changed, directory.path, tmp_path)
    book, tokens = digests()
    assert book != tokens  # which training refuses
    extract_stage(changed, directory.path, tmp_path)
    assert digests() == (book, book)


def test_tokens_of_other_settings_than_the_code_books_are_refused(done, directory):
    with pytest.raises(TokenError, match="asks for 9 clusters"):
        extract_stage(replace(CONFIG, token_conf=replace(CONFIG.token_conf, clusters=9)), directory.path, done)


def test_without_a_token_loss_there_is_nothing_to_do(directory, tmp_path, capsys):
    config = replace(CONFIG, loss_conf=LossConfig(token_weight=0.0), token_conf=TokenConfig())
    learn_stage(config, directory.path, tmp_path / "out")
    extract_stage(config, directory.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "token_weight is 0" in capsys.readouterr().err


def test_tokens_before_code_books_say_what_to_do(directory, tmp_path):
    with pytest.raises(TokenError, match="stage 2"):
        extract_stage(CONFIG, directory.path, tmp_path)
