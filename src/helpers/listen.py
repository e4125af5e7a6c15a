"""Sounds a reader can hear: short, compressed, labelled players. (placeholder)

Chapter: notebooks/02_dataset.md
"""
import base64, html, io
import soundfile
from IPython.display import HTML

def player(samples, rate, *, label, credit=""):
    b = io.BytesIO(); soundfile.write(b, samples, rate, format="MP3")
    e = base64.b64encode(b.getvalue()).decode()
    return HTML(f'<figure class="player"><figcaption>{html.escape(label)}<br><small>{html.escape(credit)}</small></figcaption><audio controls preload="none" aria-label="{html.escape(label)}" src="data:audio/mpeg;base64,{e}"></audio></figure>')

def row(players):
    return HTML('<div class="players">' + "".join(p.data for p in players) + "</div>")
