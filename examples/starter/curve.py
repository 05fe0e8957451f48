"""Draws loss.csv as a picture."""

import csv
import math
import sys
from pathlib import Path

WIDTH, HEIGHT, EDGE = 720, 320, 48


def draw(source, target):
    """Loss over tokens, the loss on a logarithmic scale."""
    with open(source, newline="", encoding="utf-8") as file:
        rows = [(int(row[2]), max(float(row[3]), 1e-3)) for row in csv.reader(file)]
    if not rows:
        return
    most = max(tokens for tokens, _ in rows)
    low = math.floor(math.log10(min(loss for _, loss in rows)))
    high = math.ceil(math.log10(max(loss for _, loss in rows)))

    def x(tokens):
        return EDGE + (WIDTH - 2 * EDGE) * tokens / most

    def y(loss):
        return HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (math.log10(loss) - low) / max(high - low, 1)

    line = " ".join(f"{x(tokens):.1f},{y(loss):.1f}" for tokens, loss in rows)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             'font-size="12">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for power in range(low, high + 1):
        at = y(10.0**power)
        parts.append(f'<line x1="{EDGE}" x2="{WIDTH - EDGE}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{EDGE - 6}" y="{at + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for share in (0, 0.25, 0.5, 0.75, 1):
        at = x(most * share)
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - EDGE + 18}" text-anchor="middle">{most * share / 1e6:.1f}M</text>')
    parts.append(f'<polyline points="{line}" fill="none" stroke="#2563eb" stroke-width="1.5"/>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">tokens seen</text>')
    parts.append(f'<text x="{EDGE}" y="{EDGE - 16}">loss of the answers, in nats a token</text></svg>')
    Path(target).write_text("\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    draw(sys.argv[1], sys.argv[2])
