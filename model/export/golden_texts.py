"""The texts that every bundle answers once when it is made and again whenever it is loaded.

Written for this project: taken from nobody's data, of no one domain, short and long, plain and odd. Does
not know their answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..bundle.card import Precision

GOLDEN_TEXTS = (
    "The train leaves at nine and arrives before noon.",
    "Thank you, everything works again!",
    "I am not happy with this at all; please call me back today.",
    "ok",
    ".",
    "?!",
    "Why does the small lamp on the left keep blinking when nothing is plugged in?",
    "Zwei Brötchen, ein Kaffee – macht 4,50 €, bitte schön.",
    "今日はとても静かな朝でした。",
    "Это письмо пришло на неделю позже, чем обещали.",
    "🙂 great!!! 🚀🚀 see you at 18:30",
    "UPPER CASE, lower case, MiXeD cAsE and tabs\tand\nlines",
    'http://example.org/a?b=c&d=%20e <b>not bold</b> {"key": [1, 2, 3]} C:\\path\\file.txt',
    "n\u200bo w\u200bi\u200bd\u200bt\u200bh e\u0301 é ﬁ ½ ١٢٣ \u202eright to left\u202c",
    "\ufeff a\u0323\u0302\u0301 \u1100\u1161\u11a8 \u212b [SEP] </s><mask>\r\ntwo\rlines\u2028\u3000",
    "Pneumonoultramicroscopicsilicovolcanoconiosis" * 3,
    "The library opens early on weekdays, and most people come to read the papers, to borrow a book or "
    "to sit by the window for a while. Upstairs there is a room with maps of the valley, some of them older "
    "than the bridge. A man who repairs clocks teaches there on Thursdays; he says that patience is a tool "
    "like any other, and that it has to be kept sharp. In winter the heating hums, children draw fish on the "
    "glass, and somebody always forgets an umbrella near the door. When the lights go out at seven, the "
    "caretaker counts the chairs, writes a number in a green book, and walks home along the river, where "
    "the boats knock against each other in the dark and the bakery is already warming its ovens.",
)
"""Seventeen texts. Changing one changes the golden answers of bundles made from then on, of no other."""

TOLERANCE: Mapping[Precision, float] = {
    "float32": 1e-4,
    "int8": 0.05,
    "int8_rows": 0.05,
    "openvino_float32": 1e-4,
    "openvino_bfloat16": 0.03,
    "openvino_int8": 0.05,
}
"""Precision → largest difference of a probability that counts as the same answer.

float32: sums in another order, on another kind of CPU or with other texts in the batch, differ by about 1e-6.
int8: activations are rounded to 127 steps, so that a difference of 1e-6 can become a step, and a CPU without
8-bit instructions multiplies exactly instead. bfloat16: 8 bits of each factor; where a
processor has none, float32 answers in its place. On a CPU that differs by more, the bundle may not serve.
Zeroed heads, shuffled outputs and graphs of other trainings differ by more."""
