/// How the pages of reports look: the status page's colours, one column, printable.
enum ReportStyle {
    static let text =
        StatusPage.palette + "\n" + #"""
            * { box-sizing: border-box; }
            body { margin: 0 auto; max-width: 72rem; padding: 1.25rem clamp(.75rem, 3vw, 2rem); background: var(--paper);
              color: var(--ink); font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
            h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; }
            h2 { font-size: 1.15rem; margin: 0 0 .75rem; }
            h3 { font-size: 1rem; margin: 0 0 .5rem; }
            p, ul { margin: 0 0 .5rem; }
            ul { padding-left: 1.2rem; }
            .soft, figcaption, caption, dt { color: var(--soft); }
            a { color: var(--c1); }
            code, pre { font-size: .9em; }
            pre { overflow-x: auto; margin: .5rem 0; white-space: pre; }
            header { margin-bottom: 1rem; }
            nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1rem; padding: 0; margin: .5rem 0 0; }
            main { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1rem; }
            section, article { min-width: 0; }
            main > section, .notice { background: var(--panel); border: 1px solid var(--rule); border-radius: .6rem;
              padding: 1rem; }
            .notice { border-color: var(--warn); color: var(--warn); font-weight: 600; margin-bottom: 1rem; }
            .notice p { margin: 0; }
            article { border-top: 1px solid var(--rule); padding-top: .75rem; margin-top: 1rem; }
            .gains { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .9rem 1.25rem;
              margin: 0 0 .75rem; }
            dt { font-size: .85rem; }
            dd { margin: 0; font-variant-numeric: tabular-nums; }
            .gains dd { font-size: 1.35rem; font-weight: 600; line-height: 1.25; }
            .gains dd + dd { font-size: .85rem; font-weight: 400; color: var(--soft); }
            .facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .5rem 1.25rem;
              margin: 0 0 .75rem; }
            .plots { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1rem; }
            @media (min-width: 52rem) {
              .plots { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
            }
            .s0 { --mine: var(--c0); }
            .s1 { --mine: var(--c1); }
            .s2 { --mine: var(--c2); }
            .s3 { --mine: var(--c3); }
            figure { margin: 0; max-width: 38rem; }
            figcaption { font-size: .85rem; display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
            figcaption b { color: var(--ink); }
            .key { display: inline-flex; align-items: center; gap: .4rem; }
            .key svg { width: 1.6rem; height: .8rem; }
            .plot { display: block; width: 100%; height: auto; }
            .line { fill: none; stroke: var(--mine); stroke-width: 2; stroke-linejoin: round; }
            .dot { fill: var(--mine); }
            .d1 { stroke-dasharray: 7 3; }
            .d2 { stroke-dasharray: 2 3; }
            .d3 { stroke-dasharray: 9 3 2 3; }
            .grid { stroke: var(--rule); }
            .edge { stroke: var(--soft); stroke-dasharray: 2 3; }
            .tick { fill: var(--soft); font-size: 12px; }
            .end { text-anchor: end; }
            .middle { text-anchor: middle; }
            .scroll { overflow-x: auto; }
            .scroll:focus-visible, summary:focus-visible, a:focus-visible { outline: 3px solid var(--c1); outline-offset: 2px; }
            table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem;
              margin-bottom: .75rem; }
            caption { text-align: left; font-size: .85rem; padding-bottom: .25rem; }
            th, td { overflow-wrap: normal; text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid
              var(--rule); vertical-align: top; font-weight: 400; }
            thead th { color: var(--soft); font-weight: 500; font-size: .82rem; vertical-align: bottom; }
            tbody th { min-width: 9rem; max-width: 22rem; overflow-wrap: anywhere; }
            th.n, td.n { text-align: right; white-space: nowrap; }
            td.text { min-width: 10rem; overflow-wrap: anywhere; }
            .bar { display: block; width: 100%; min-width: 4rem; height: 5px; margin-top: 2px; }
            .rail { fill: var(--rule); }
            .fill { fill: var(--c0); }
            summary { cursor: pointer; font-size: .85rem; color: var(--soft); }
            footer { margin-top: 1rem; font-size: .85rem; color: var(--soft); }
            @media (max-width: 34rem) {
              .tick { font-size: 19px; }
              main > section { padding: .8rem; }
            }
            @media print {
              :root { color-scheme: light; --ink: #000; --paper: #fff; --panel: #fff; --soft: #444; --rule: #bbb; --c0:
                #256b47; --c1: #2463a8; --c2: #a85c00; --c3: #84489c; --warn: #8f4e00; }
              body { max-width: none; padding: 0; font-size: 11px; }
              main { display: block; }
              main > section { border: 0; padding: 0; margin-bottom: 1.5rem; }
              nav { display: none; }
              figure, article > dl, tr { break-inside: avoid; }
              h2, h3 { break-after: avoid; }
              .scroll { overflow: visible; }
              pre { white-space: pre-wrap; }
            }
            """#
}
