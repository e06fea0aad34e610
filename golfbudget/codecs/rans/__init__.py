"""Interleaved rANS with static tables, for bytes that only their own frequencies tell apart: quantised weights.

Duda's asymmetric numeral systems (arXiv:1311.2540), many states ("lanes") side by side so that numpy and torch decode
it step by step (Giesen, arXiv:1402.3392).  A trellis-coded matrix has two tables, for the parities of its machine.
The decoder is short enough to travel with an artifact.

    lanes u16 | runs u16 | lanes x (high u16) | lanes x (low u16) | runs x (header | table | words)
    header  rows u32 | first u16 | table words u16 | columns u16 | k u16 | entries u16
    table   entries x u8 for each parity, or once where there is one column
    words   u16, shared by all lanes

Integers are little-endian.  A symbol's frequency is the square of its entry, and those of a table sum to 255²; entry
i is that of the byte (first + i) mod 256.  Entries are even, and so is `first` where there are columns.  What has no
columns to tell is one column of all its bytes, with k = 1.

Rows are taken in blocks of so many as there are lanes, and a block column by column, lane i at its row i.  At each
column a lane whose state x is below 16·255² first takes a word: x = 65536·x + word.  With a symbol's frequencies f
that begin at c, it is the one that holds x mod 255², and leaves x = f·(x // 255²) + x mod 255² - c.  All lanes end at
16·255².

Reading order: `tables`, `machine`, `encoding`, `decoding`, `codec`, `decoders`.
"""
