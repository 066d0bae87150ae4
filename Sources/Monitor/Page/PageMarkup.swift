extension StatusPage {
    /// The document; `STYLE`, `SCRIPT` and `NONCE` stand for what `answer` puts in.
    static let markup = #"""
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <link rel="icon" href="data:,">
        <title>Pleach</title>
        <style nonce="NONCE">
        STYLE
        </style>
        </head>
        <body>
        <a class="skip" href="#main">Skip to the run</a>
        <header>
        <div><p class="soft">Pleach</p><h1 id="plan">Status of a run</h1></div>
        <p class="tags"><span id="state" class="tag" role="status"></span>
        <span id="link" class="tag" role="status">connecting</span>
        <span id="run" class="soft"></span></p>
        </header>
        <form id="entry" hidden>
        <label for="token">This page needs the token that the coordinator was started with</label>
        <div><input id="token" type="password" autocomplete="off" spellcheck="false" required>
        <button>Open</button></div>
        <p id="entry-answer" role="alert"></p>
        </form>
        <main id="main" tabindex="-1" hidden>
        <section class="wide" aria-labelledby="now">
        <h2 id="now">No round is open</h2>
        <progress id="bar" max="1" value="0" aria-labelledby="now"></progress>
        <p id="age" class="soft"></p>
        <p id="waiting"></p>
        <p id="waiting-said" class="heard" role="status" aria-live="polite"></p>
        <div id="missing-part" class="scroll" role="region" aria-labelledby="missing-caption" tabindex="0" hidden>
        <table><caption id="missing-caption">Whom the round waits for</caption>
        <thead><tr><th scope="col">Worker</th><th scope="col">State</th><th scope="col" class="n">Last sign of life</th>
        <th scope="col" class="n">At this task</th><th scope="col" class="n">Doing</th></tr></thead>
        <tbody id="missing"></tbody></table></div>
        <p id="missing-more" class="soft"></p>
        </section>
        <section class="wide" aria-labelledby="figures-title">
        <h2 id="figures-title">Figures</h2>
        <dl id="figures"></dl>
        </section>
        <section class="wide" aria-labelledby="time-title">
        <h2 id="time-title">Stages and rounds</h2>
        <ol id="stages"></ol>
        <figure id="chart-time"></figure>
        <p id="time-more" class="soft"></p>
        </section>
        <section aria-labelledby="accuracy-title">
        <h2 id="accuracy-title">Accuracy</h2>
        <figure id="chart-accuracy"></figure>
        </section>
        <section aria-labelledby="loss-title">
        <h2 id="loss-title">Loss</h2>
        <figure id="chart-loss"></figure>
        </section>
        <section aria-labelledby="bytes-title">
        <h2 id="bytes-title">Bytes on the wire</h2>
        <dl id="bytes" class="bars"></dl>
        <figure id="chart-bytes"></figure>
        </section>
        <section aria-labelledby="small-title">
        <h2 id="small-title">Sparsity and bits</h2>
        <figure id="chart-small"></figure>
        <div class="scroll" role="region" aria-labelledby="layers-caption" tabindex="0">
        <table><caption id="layers-caption">Layers as they are now</caption>
        <thead><tr><th scope="col">Layer</th><th scope="col" class="n">Weights</th><th scope="col" class="n">Masked</th>
        <th scope="col" class="n">Bits in the file</th></tr></thead><tbody id="layers"></tbody></table></div>
        <p id="layers-more" class="soft"></p>
        </section>
        <section class="wide" aria-labelledby="fleet-title">
        <h2 id="fleet-title">Fleet</h2>
        <p id="fleet-states"></p>
        <form id="fleet-form" role="search">
        <label>Name <input id="search" type="search" autocomplete="off" spellcheck="false" maxlength="200"></label>
        <label>State <select id="wanted"><option value="">any</option><option>late</option><option>lost</option>
        <option>working</option><option>ready</option><option>contributed</option><option>left</option></select></label>
        </form>
        <div class="scroll" role="region" aria-labelledby="fleet-caption" tabindex="0">
        <table><caption id="fleet-caption" role="status">Workers</caption>
        <thead><tr><th scope="col">Worker</th><th scope="col">State</th><th scope="col" class="n">Last sign of life</th>
        <th scope="col" class="n">At its task</th><th scope="col" class="n">Samples</th></tr></thead>
        <tbody id="fleet"></tbody></table></div>
        </section>
        <section class="wide" aria-labelledby="refused-title">
        <h2 id="refused-title">Refusals</h2>
        <p id="refused-none" class="soft">Nothing was refused.</p>
        <div id="refused-part" hidden>
        <dl id="refused" class="bars"></dl>
        <div class="scroll" role="region" aria-labelledby="refused-caption" tabindex="0">
        <table><caption id="refused-caption">The newest, in their own words</caption>
        <thead><tr><th scope="col" class="n">Round</th><th scope="col">Worker</th><th scope="col">Kind</th>
        <th scope="col">Reason</th></tr></thead><tbody id="refused-newest"></tbody></table></div></div>
        </section>
        </main>
        <footer class="soft"><span id="memory"></span>
        <span>For programs: <code>/status.json</code>, <code>/metrics</code></span></footer>
        <noscript><p>Without scripts, read <a href="/status.json">status.json</a> or <a href="/metrics">metrics</a>.</p>
        </noscript>
        <script nonce="NONCE">
        "use strict";
        SCRIPT
        </script>
        </body>
        </html>
        """#
}
