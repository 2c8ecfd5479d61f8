"""Open the built site in a headless Chromium and check every page.

    python docs/check_site.py docs/_build/html

Each page must render and have a heading. Its images and other resources must load, and its links
within the site must lead to existing pages and sections. Its heading must be that of its source,
because Sphinx overwrites pages with reserved names such as search.html. The script looks for a
browser named ``chromium``, ``chromium-browser`` or ``google-chrome``. ``--chromium`` selects
another one, and ``--links-only`` skips all checks that need a browser. The site is served on the
loopback interface during the run only. The exit code is the number of faults, at most 100.
"""

import argparse
import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

SECONDS_PER_PAGE = 20
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

# A page that opens all other pages in a frame, one after another, and records its findings.
WALK = """<!doctype html><title>walk</title><pre id="found"></pre><script>
const pages = PAGES;
async function visit(page) {
  const frame = document.createElement("iframe");
  frame.width = 1280; frame.height = 4000;
  const loaded = new Promise(done => { frame.onload = done; });
  frame.src = page;
  document.body.append(frame);
  await loaded;
  const inside = frame.contentDocument, pictures = [...inside.images];
  pictures.forEach(picture => { picture.loading = "eager"; });
  await Promise.all(pictures.map(picture => picture.complete ? 0 : new Promise(done => {
    picture.onload = picture.onerror = done; })));
  const heading = inside.querySelector("h1");
  const found = {
    page, heading: heading ? heading.innerText : "", height: inside.body.scrollHeight,
    pictures: pictures.length,
    broken: pictures.filter(picture => !picture.naturalWidth).map(picture => picture.src),
  };
  frame.remove();
  return found;
}
(async () => {
  const found = [];
  for (const page of pages) found.push(await visit(page));
  document.getElementById("found").textContent = JSON.stringify(found);
})();
</script>"""


class Links(HTMLParser):
    """Parser that collects the links and anchors of a page."""

    def __init__(self):
        super().__init__()
        self.links, self.anchors = [], set()

    def handle_starttag(self, tag, attrs):
        """Collect the anchors and links of a tag."""
        attributes = dict(attrs)
        self.anchors |= {attributes[key] for key in ("id", "name") if attributes.get(key)}
        for key in ("href", "src"):
            if attributes.get(key):
                self.links.append(attributes[key])


def read(path: Path) -> Links:
    """Return the links and anchors of a page."""
    parser = Links()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


def broken_links(site: Path) -> list[str]:
    """Return one line for each broken link within the site."""
    pages = {path.relative_to(site).as_posix(): read(path) for path in sorted(site.rglob("*.html"))}
    faults = []
    for page, found in pages.items():
        for link in found.links:
            parts = urlsplit(link)
            # Links to other sites are not checked.
            if parts.scheme or parts.netloc:
                continue
            path, fragment = urldefrag(urljoin(page, link))
            path = unquote(urlsplit(path).path)
            target = site / path / "index.html" if path.endswith("/") else site / path
            if not target.exists():
                faults.append(f"{page}: {link} does not exist")
            elif fragment and path in pages and unquote(fragment) not in pages[path].anchors:
                faults.append(f"{page}: {link} names a section that {path} does not have")
    return faults


class Heading(HTMLParser):
    """Parser that collects the text of the first heading of a page."""

    def __init__(self):
        super().__init__()
        self.text, self.inside, self.links = "", None, 0

    def handle_starttag(self, tag, attrs):
        """Enter the first heading, without the permalink that Sphinx adds to it."""
        if tag == "h1" and self.inside is None:
            self.inside = True
        self.links += self.inside is True and "headerlink" in (dict(attrs).get("class") or "")

    def handle_endtag(self, tag):
        """Leave the heading."""
        if tag == "h1":
            self.inside = False

    def handle_data(self, data):
        """Collect the text of the heading."""
        if self.inside and not self.links:
            self.text += data


def words(text: str) -> list[str]:
    """Return the words of a heading without markup."""
    # Remove roles and escapes of reStructuredText, and link targets of Markdown.
    text = re.sub(r":[\w:]+:`|\\|(?<=\])\([^)]*\)", "", text)
    return re.findall(r"[^\W_]+", text)


def first_heading(source: str) -> str:
    """Return the first heading of a page in Markdown or reStructuredText."""
    lines = source.splitlines()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("# "):
            return line[2:]
        underline = re.fullmatch(r"([=*#^~\"-])\1+", below.rstrip())
        if underline and line.strip() and len(below.rstrip()) >= len(line.rstrip()):
            return line
    return ""


def lost_pages(site: Path) -> list[str]:
    """Return one line for each page whose HTML does not have the heading of its source."""
    faults = []
    for source in sorted((site / "_sources").rglob("*.txt")):
        name = source.relative_to(site / "_sources").with_suffix("").with_suffix(".html")
        expected = first_heading(source.read_text(encoding="utf-8-sig"))
        parser = Heading()
        if (site / name).exists():
            parser.feed((site / name).read_text(encoding="utf-8"))
        if not words(expected) or words(parser.text) != words(expected):
            faults.append(
                f"{name.as_posix()}: its heading is {parser.text.strip()!r}, but its source has "
                f"{expected!r}"
            )
    return faults


class Handler(SimpleHTTPRequestHandler):
    """Request handler that serves the site and the walk page, and records missing files."""

    def __init__(self, *args, walk: str, missing: list[str], **kwargs):
        self.walk, self.missing = walk, missing
        super().__init__(*args, **kwargs)

    def do_GET(self):
        """Send the walk page or a file of the site."""
        if self.path != "/walk":
            super().do_GET()
            return
        body = self.walk.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code, *args, **kwargs):
        """Record a missing file."""
        self.missing.append(f"{self.path} was requested: {code}")
        super().send_error(code, *args, **kwargs)

    def log_message(self, *args):
        """Do not log successful requests."""


def walk(site: Path, chromium: str) -> tuple[list[dict], list[str]]:
    """Return the findings of Chromium for each page, and the files missing from the site."""
    pages = [path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html"))]
    missing: list[str] = []
    text = WALK.replace("PAGES", json.dumps(pages))
    handler = partial(Handler, directory=str(site), walk=text, missing=missing)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with tempfile.TemporaryDirectory() as profile:
            command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
            command += [f"--user-data-dir={profile}", "--disable-extensions", "--no-first-run"]
            command += [f"--virtual-time-budget={1000 * SECONDS_PER_PAGE * len(pages)}"]
            command += [f"http://127.0.0.1:{server.server_port}/walk"]
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS_PER_PAGE * len(pages)
            )
    finally:
        server.shutdown()
        server.server_close()
    found = done.stdout.partition('<pre id="found">')[2].partition("</pre>")[0]
    if not found:
        raise SystemExit(
            f"{chromium} did not complete the walk through the site:\n{done.stderr[-2000:]}"
        )
    return json.loads(html.unescape(found)), [line for line in missing if "favicon" not in line]


def main() -> int:
    """Check the site and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("site", type=Path, help="folder with the built pages")
    parser.add_argument("--chromium", help="path of the browser; searched for by default")
    parser.add_argument(
        "--links-only", action="store_true", help="check links and headings only, without Chromium"
    )
    args = parser.parse_args()
    if not (args.site / "index.html").exists():
        raise SystemExit(f"{args.site} has no index.html. Build the site first, see docs/conf.py.")
    faults = broken_links(args.site) + lost_pages(args.site)
    if not args.links_only:
        chromium = args.chromium or next(filter(None, map(shutil.which, CHROMIUM)), None)
        if chromium is None:
            raise SystemExit("Chromium was not found. Install it, or use --links-only.")
        pages, missing = walk(args.site, chromium)
        faults += missing
        for page in pages:
            faults += [f"{page['page']}: {picture} does not load" for picture in page["broken"]]
            # Sphinx's search page has no heading.
            if page["height"] < 100 or not (page["heading"] or page["page"] == "search.html"):
                faults.append(f"{page['page']}: is empty or has no heading")
        print(f"{len(pages)} pages, {sum(page['pictures'] for page in pages)} pictures")
    print("\n".join([*faults, f"{len(faults)} faults"]))
    return min(100, len(faults))


if __name__ == "__main__":
    sys.exit(main())
