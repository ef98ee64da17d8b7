"""How the page looks: system fonts, one accent, colours for light and dark. Nothing is loaded from elsewhere."""

import gradio as gr

SYSTEM_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MONO_FONTS = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]

TAB_ID = """() => {
  let id = sessionStorage.getItem('distill-tab');
  if (!id) {
    id = Math.random().toString(36).slice(2) + Date.now().toString(36);
    sessionStorage.setItem('distill-tab', id);
  }
  return id;
}"""
"""A name for this browser tab that a reload keeps and another tab does not share."""

CLICKS = """
element.addEventListener('click', event => {
  const button = event.target.closest('[data-act]');
  if (button && element.contains(button)) trigger('click', {...button.dataset});
});
"""
"""Clicks on buttons inside a piece of HTML, told to Python with the button's data."""

SCRIPTS = """<script>
// A player that starts silences the others.
document.addEventListener('play', event => {
  for (const other of document.querySelectorAll('audio')) if (other !== event.target) other.pause();
}, true);

// A folder cannot be sent as it is: the files inside are, called by their paths in it, as if they had been chosen.
document.addEventListener('drop', async event => {
  const box = event.target.closest('.upload-container');
  const input = () => box?.querySelector('input[type=file][multiple]');
  const dropped = [...event.dataTransfer?.items ?? []].map(item => item.webkitGetAsEntry()).filter(entry => entry);
  if (!input() || !dropped.some(entry => entry.isDirectory)) return;
  event.preventDefault();
  event.stopPropagation();
  box.dispatchEvent(new DragEvent('dragleave'));
  const found = new DataTransfer();
  const unreadable = [];
  async function walk(entry) {
    if (entry.name.startsWith('.')) return;
    try {
      if (entry.isDirectory) {
        const reader = entry.createReader();
        while (true) {
          const some = await new Promise((read, failed) => reader.readEntries(read, failed));
          if (!some.length) return;  // a hundred at most are given at a time
          for (const each of some) await walk(each);
        }
      }
      const file = await new Promise((read, failed) => entry.file(read, failed));
      await file.slice(0, 1).arrayBuffer();  // one that cannot be read would fail them all
      found.items.add(new File([file], entry.fullPath.slice(1), {type: file.type}));
    } catch {
      unreadable.push(entry.fullPath.slice(1));
    }
  }
  for (const entry of dropped) await walk(entry);
  if (unreadable.length) alert('These cannot be read, and are left out: ' + unreadable.join(', '));
  else if (!found.files.length) alert('There is no file in what was dropped.');
  input().files = found.files;
  input().dispatchEvent(new Event('change'));
}, true);
</script>"""
"""What the whole page does by itself."""

CSS = """
:root, .dark { --good: #1a7f37; --fair: #8a5a00; --bad: #c02b2b; --good-fill: #2da44e; --fair-fill: #d29922;
  --bad-fill: #e5534b; --line-a: #7c3aed; --line-b: #0891b2; }
.dark { --good: #57d06f; --fair: #f0b847; --bad: #ff8a80; --line-a: #a78bfa; --line-b: #22d3ee; }
.gradio-container { max-width: 1180px !important; width: 100% !important; margin: 0 auto !important; }
.gradio-container .html-container { padding: 0 !important; }
.gradio-container footer { opacity: .7; }
#title h1 { font-size: 1.5rem; margin: 0; letter-spacing: -.01em; }
#title p { margin: .15rem 0 0; color: var(--body-text-color-subdued); }
.d-note { color: var(--body-text-color-subdued); }
.d-bad { color: var(--bad); } .d-fair { color: var(--fair); } .d-good { color: var(--good); }
.d-error { border-left: 4px solid var(--bad-fill); padding: .5rem .75rem; color: var(--bad); }
.d-warn { border-left: 4px solid var(--fair-fill); padding: .5rem .75rem; }
.d-figures { display: flex; flex-wrap: wrap; gap: .5rem 1.75rem; margin: .5rem 0; }
.d-figures div { display: flex; flex-direction: column; }
.d-figures b { font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.d-figures span { font-size: .8rem; color: var(--body-text-color-subdued); }
.d-bar { height: 8px; border-radius: 4px; background: var(--border-color-primary); overflow: hidden; margin: .35rem 0; }
.d-bar i { display: block; height: 100%; background: var(--color-accent); }
.d-table { overflow-x: auto; border: 1px solid var(--border-color-primary); border-radius: 8px; max-height: 560px;
  overflow-y: auto; }
.d-table table { width: 100%; border-collapse: collapse; font-size: .9rem; margin: 0 !important; }
.d-table th { position: sticky; top: 0; background: var(--background-fill-secondary); text-align: left;
  font-weight: 600; z-index: 1; }
.gradio-container .d-table table, .gradio-container .d-table table tr { border-width: 0 !important; }
.gradio-container .d-table table th, .gradio-container .d-table table td { border-width: 0 0 1px !important;
  border-color: var(--border-color-primary) !important; padding: .35rem .6rem; vertical-align: middle;
  color: var(--body-text-color); }
.d-table td.n { font-variant-numeric: tabular-nums; white-space: nowrap; }
.d-table td.f { overflow-wrap: anywhere; min-width: 7rem; }
.d-table img { width: 132px; max-width: none; height: 44px; border-radius: 4px; display: block; background: #000; }
.d-sound { display: flex; flex-wrap: wrap; align-items: center; gap: .35rem .75rem; }
.d-sound span { flex: 1 1 9rem; overflow-wrap: anywhere; }
.d-sound audio { flex: none; max-width: none; }
audio { height: 36px; max-width: 100%; width: 250px; display: block; }
.dark audio { color-scheme: dark; }
.d-cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(270px, 100%), 1fr)); gap: .8rem; }
.d-card { border: 1px solid var(--border-color-primary); border-radius: 10px; padding: .75rem;
  background: var(--block-background-fill); display: flex; flex-direction: column; gap: .5rem; min-width: 0; }
.d-card h3 { margin: 0 !important; font-size: 1rem; overflow-wrap: anywhere; }
.d-card img { width: 100%; height: 110px; border-radius: 6px; background: #000; display: block; }
.d-card audio { width: 100%; }
.d-scale { display: flex; justify-content: space-between; font-size: .75rem; margin-top: -.35rem;
  font-variant-numeric: tabular-nums; }
.d-scale span { color: var(--body-text-color-subdued); }
#generate-from-heard .d-card:only-child { grid-column: 1 / -1; }
.d-card .near-words { margin: 0; font-size: .85rem; color: var(--body-text-color-subdued); overflow-wrap: anywhere; }
.d-card.kept { border-color: var(--good-fill); box-shadow: 0 0 0 1px var(--good-fill); }
.d-card.whole { grid-column: 1 / -1; }
.d-card dl { display: grid; grid-template-columns: auto 1fr; gap: .15rem .75rem; margin: 0; font-size: .875rem; }
.d-card dt { color: var(--body-text-color-subdued); } .d-card dd { margin: 0; overflow-wrap: anywhere; }
.d-acts { display: flex; flex-wrap: wrap; gap: .4rem; margin-top: auto; }
.d-acts button, .d-acts a { border: 1px solid var(--border-color-primary); border-radius: 6px; padding: .3rem .5rem;
  font-size: .85rem; background: var(--button-secondary-background-fill); color: var(--button-secondary-text-color);
  text-decoration: none !important; cursor: pointer; line-height: 1.3; min-height: 34px; margin: 0; font-weight: 500;
  display: inline-flex; align-items: center; }
.d-acts button:hover, .d-acts a:hover { border-color: var(--color-accent); }
.d-acts [aria-pressed=true] { background: var(--good-fill); border-color: var(--good-fill); color: #fff; }
.d-acts button:focus-visible, .d-acts a:focus-visible, .d-table audio:focus-visible { outline: 3px solid
  var(--color-accent); outline-offset: 1px; }
.d-levels { display: flex; flex-wrap: wrap; gap: .6rem; margin: .5rem 0; padding: 0; list-style: none; }
.d-levels li { flex: 1 1 210px; border: 1px solid var(--border-color-primary); border-left-width: 6px;
  border-radius: 8px; padding: .5rem .75rem; font-size: .9rem; margin: 0; }
.d-levels li.good { border-left-color: var(--good-fill); } .d-levels li.fair { border-left-color: var(--fair-fill); }
.d-levels li.bad { border-left-color: var(--bad-fill); }
.d-chart { width: 100%; height: auto; display: block; }
.d-chart text { fill: var(--body-text-color-subdued); font-size: 12px; font-family: inherit; }
.d-chart .grid { stroke: var(--border-color-primary); stroke-width: 1; }
.d-chart .a { stroke: var(--line-a); } .d-chart .b { stroke: var(--line-b); stroke-dasharray: 5 4; }
.d-chart polyline { fill: none; stroke-width: 2.25; stroke-linejoin: round; }
.d-chart .end { stroke: none; fill: var(--line-a); } .d-chart .end.b { fill: var(--line-b); }
.d-chart .dot { fill: var(--line-a); stroke: var(--block-background-fill); stroke-width: 2; }
.d-chart .best { fill: var(--body-text-color); font-weight: 600; paint-order: stroke; stroke-width: 5px;
  stroke: var(--body-background-fill); stroke-linejoin: round; }
.d-scroll { overflow-x: auto; }
.d-key { display: flex; gap: 1.25rem; flex-wrap: wrap; font-size: .85rem; margin: .25rem 0; }
.d-key i { display: inline-block; width: 22px; border-top: 3px solid var(--line-a); vertical-align: middle;
  margin-right: .35rem; } .d-key i.b { border-top: 3px dashed var(--line-b); }
.d-heat { width: 100%; height: auto; min-height: 30px; margin-bottom: .75rem; image-rendering: pixelated; border-radius: 6px; }
.d-empty { padding: 1.25rem; border: 1px dashed var(--border-color-primary); border-radius: 10px;
  color: var(--body-text-color-subdued); text-align: center; }
.d-banner { border: 2px solid var(--bad-fill) !important; border-radius: 10px; padding: .9rem !important; }
.d-banner h3 { margin: 0 0 .25rem !important; color: var(--bad); }
.dark button[role=tab][aria-selected=true] { color: #c4b5fd; }
@media (max-width: 640px) {
  .d-chart { min-width: 560px; }
  button[role=tab] { padding-left: .6rem !important; padding-right: .6rem !important; }
  .gradio-container { padding: .5rem !important; }
  .d-table td, .d-table th { padding: .3rem .4rem; }
  .d-table img { width: 84px; } .d-table audio { width: 190px; }
}
"""


def theme() -> gr.themes.Base:
    """System fonts, one accent, and texts that stand out enough from what is behind them."""
    made = gr.themes.Default(
        primary_hue="violet", neutral_hue="slate", radius_size="md", font=SYSTEM_FONTS, font_mono=MONO_FONTS
    )
    return made.set(
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
    )
