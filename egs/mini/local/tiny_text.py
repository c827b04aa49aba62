"""Text for many languages without a text corpus: common words, pronounceable pseudo-words and numbers.

The words of a sentence are drawn at random, so the sentences mean nothing; what matters is that espeak-ng's rules for each
language turn them into phone sequences of that language. Numbers are read out in the words of every language.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Script(NamedTuple):
    """Pieces of a syllable, space separated, and the languages written with them."""

    onsets: str
    vowels: str
    codas: str
    open_syllables: float  # share of syllables without a coda
    languages: str


SCRIPTS = (
    Script(
        "b br bl c ch d dr f fl fr g gl gr h j k kl kr l m n p pl pr qu r s sc sk sl sm sn sp st str t tr v w z",
        "a e i o u a e i o u ai au ei ie ou",
        "n n m l r s t k nd st x",
        0.3,
        "af ca cs cy da de en en-029 en-gb-scotland en-us es es-419 et eu fi fr ga hr hu id is it lt lv ms mt nb nl pl pt "
        "pt-br ro sk sl sq sv sw tr uz vi",
    ),
    Script(
        "б в г д ж з к л м н п р с т ф х ц ч ш ст пр кр тр бл гр",
        "а е и о у ы я ю а е и о",
        "н м л р с т к й",
        0.3,
        "bg kk mk ru sr uk",
    ),
    Script("β γ δ ζ θ κ λ μ ν ξ π ρ σ τ φ χ ψ στ πρ τρ", "α ε ι ο ου η αι ει", "ς ν", 0.6, "el"),
    Script("क ख ग घ च ज ट ड त थ द ध न प ब भ म य र ल व श स ह", "ा ि ी ु े ै ो", "ं", 0.7, "hi mr ne"),
    Script(
        "か き く け さ し す せ た ち つ て な に ぬ ね の は ひ ふ へ ほ ま み む め",
        "や ゆ よ ら り る れ ろ わ あ い う え お",
        "ん",
        0.7,
        "ja",
    ),
)
NUMBERS_ONLY = "ar fa ka ko ta he"  # read out by espeak-ng in the words of the language

HANZI = (
    "我 你 他 的 是 不 在 有 人 这 中 大 来 上 国 个 到 说 们 为 子 和 地 出 道 也 时 年 得 就 "
    "那 要 下 以 生 会 自 着 去 之 过 家 学 对 可 里 后 小 么 心 多 天 而 能 好 都 然 没 日 于 "
    "起 还 发 成 事 只 作 当 想 看 文 无 开 手 十 用 主 行 方 又 如 前 所 本 见 经 头 面 公 同 "
    "三"
)

WORDS = {
    "en": (
        "the a of and to in is that it was for on are with they be at one have this from by hot word what some water "
        "long little very after thing our just name good sentence man think say great where help through much before "
        "line right too means old any same tell boy follow came want show also around form three small set put end does "
        "another well large must big even such because turn here why ask went men read need land different home us move "
        "try kind hand picture again change off play spell air away animal house point page letter mother answer found "
        "study still learn should world"
    ),
    "de": (
        "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er hat "
        "dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor zur bis "
        "mehr durch man sein wurde Wasser Straße schön Haus Mädchen Zeitung Frühling Apfel Küche sprechen können "
        "natürlich zwischen"
    ),
    "fr": (
        "le la de et un une à être en avoir que pour dans ce il qui ne sur se pas plus pouvoir par je avec tout faire "
        "son mettre autre on mais nous comme ou si leur y dire elle devoir avant deux même prendre aussi celui donner "
        "bien où fois vous encore nouveau aller cela entre premier vouloir déjà grand mon eau maison enfant oiseau "
        "feuille bonjour"
    ),
    "es": (
        "el la de que y a en un ser se no haber por con su para como estar tener le lo todo pero más hacer o poder "
        "decir este ir otro ese si me ya ver porque dar cuando él muy sin vez mucho saber qué sobre mi alguno mismo yo "
        "también hasta año dos querer entre así primero desde grande eso ni nos llegar pasar tiempo ella calle agua "
        "niño corazón"
    ),
    "it": (
        "il di che e la in un a per è una sono mi ho non con lo ma ti si da come io ci questo qui bene sei tu del me "
        "della cosa gli perché no tutto le al solo fatto dei così nel oh ora ha quando fare casa acqua giorno notte "
        "famiglia ragazzo bello chiesa"
    ),
    "ru": (
        "и в не на я быть он с что а по это она этот к но они мы весь который из у то за свой что весь год от так о для "
        "ты же все тот мочь вы человек такой его сказать только или ещё бы себя один как уже до время если сам когда "
        "другой вот говорить наш мой знать стать при чтобы дело жизнь кто первый очень два день её новый рука даже вода "
        "дом"
    ),
    "pt-br": (
        "o de a que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à seu sua "
        "ou ser quando muito há nos já está eu também só pelo pela até isso ela entre era depois sem mesmo aos água "
        "coração manhã"
    ),
    "nl": (
        "de van het een en in is dat op te zijn met voor niet aan er om ook als dan maar bij nog uit worden door naar "
        "heeft tot ze wat over hun water straat huis meisje vrouw goed groot klein schip vrijheid geluid uur nieuw"
    ),
    "sv": (
        "och i att det som en på är av för med den till inte om ett han men var jag sig från vi så kan när år under "
        "också efter vatten gata hus flicka stor liten sjö kärlek frukost skön ljus tjugo"
    ),
    "pl": (
        "w i na z do się nie że to jest o jak po co ale od za przez czy jego tylko być przy który może już tak dla jej "
        "były woda dom dziecko książka szczęście rzeka miasto człowiek dziękuję"
    ),
    "tr": (
        "bir ve bu da de için ile çok olarak daha gibi olan ne en o kadar sonra ben var her değil su ev çocuk güzel "
        "büyük küçük gün gece yol şehir öğretmen teşekkür"
    ),
    "fi": (
        "ja on ei se että hän oli ovat joka mutta niin kun myös tai vain kuin nyt jos sitten vesi talo lapsi kaunis "
        "suuri pieni päivä yö tie kaupunki kiitos hyvää huomenta"
    ),
}

LANGUAGES = sorted(" ".join([*(script.languages for script in SCRIPTS), NUMBERS_ONLY, "cmn"]).split())


def sentence(language: str, words: int, rng: np.random.Generator) -> str:
    """Return a line of ``words`` words in the script of ``language``, with a comma now and then."""
    common = WORDS.get(language, WORDS.get(language.split("-")[0], "")).split()
    script = next((script for script in SCRIPTS if language in script.languages.split()), None)
    parts = []
    for _ in range(words):
        kind = rng.random()
        if language == "cmn":
            parts.append("".join(rng.choice(HANZI.split(), size=int(rng.integers(1, 4)))))
        elif common and kind < 0.6:
            parts.append(str(rng.choice(common)))
        elif script and kind < 0.92:
            parts.append(_pseudo_word(script, rng))
        else:
            parts.append(str(int(10 ** rng.uniform(0, 4))))
        if rng.random() < 0.1:
            parts[-1] += ","
    return " ".join(parts).rstrip(",") + "."


def _pseudo_word(script: Script, rng: np.random.Generator) -> str:
    word = ""
    for _ in range(int(rng.integers(1, 4))):
        word += str(rng.choice(script.onsets.split())) + str(rng.choice(script.vowels.split()))
        if rng.random() > script.open_syllables:
            word += str(rng.choice(script.codas.split()))
    return word
