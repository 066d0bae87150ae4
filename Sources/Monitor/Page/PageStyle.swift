extension StatusPage {
    /// Ink, paper and the colours of lines, light or dark as the reader prefers; reports have the same.
    static let palette = #"""
        :root { color-scheme: light dark; --ink: #1c2421; --paper: #f6f5f0; --panel: #fffefb; --soft: #59655f; --rule:
          #d8dbd4; --leaf: #256b47; --warn: #8f4e00; --bad: #a4262c; --c0: #256b47; --c1: #2463a8; --c2: #a85c00;
          --c3: #84489c; }
        @media (prefers-color-scheme: dark) {
          :root { --ink: #e6ebe8; --paper: #121715; --panel: #1a201d; --soft: #9daaa3; --rule: #323b36; --leaf:
            #6cc796; --warn: #e9aa58; --bad: #f08a86; --c0: #6cc796; --c1: #7fb4ec; --c2: #e9aa58; --c3: #cc98e2; }
        }
        """#

    /// How it looks: one column on a narrow screen, two on a wide one.
    static let style =
        palette + "\n" + #"""
            * { box-sizing: border-box; }
            body { margin: 0 auto; max-width: 80rem; padding: 1.25rem clamp(.75rem, 3vw, 2rem); background: var(--paper);
              color: var(--ink); font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
            h1 { font-size: 1.5rem; line-height: 1.2; margin: 0; }
            h2 { font-size: 1rem; margin: 0 0 .75rem; }
            p { margin: 0 0 .5rem; }
            .soft, figcaption, caption, dt { color: var(--soft); }
            code { font-size: .9em; }
            header { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: end; justify-content: space-between;
              margin-bottom: 1rem; }
            header p { margin: 0; }
            .tags { display: flex; flex-wrap: wrap; gap: .4rem .6rem; align-items: center; }
            .tag { border: 1px solid currentColor; border-radius: 99px; padding: .05rem .65rem; font-size: .85rem;
              font-weight: 600; }
            .tag:empty { display: none; }
            .good { color: var(--leaf); }
            .warn { color: var(--warn); }
            .bad { color: var(--bad); }
            main { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1rem; }
            main[hidden] { display: none; }
            main:focus { outline: none; }
            @media (min-width: 60rem) {
              main { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
              .wide { grid-column: 1 / -1; }
            }
            section, #entry { background: var(--panel); border: 1px solid var(--rule); border-radius: .6rem; padding:
              1rem; min-width: 0; }
            .skip { position: absolute; left: -999px; }
            .heard { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
            .skip:focus { left: 1rem; top: .5rem; background: var(--panel); padding: .3rem .6rem; }
            :focus-visible { outline: 3px solid var(--c1); outline-offset: 2px; border-radius: 3px; }
            a { color: var(--c1); }
            a.mark { color: inherit; }
            input, select, button { font: inherit; color: inherit; background: var(--paper); border: 1px solid
              var(--soft); border-radius: .35rem; padding: .3rem .6rem; max-width: 100%; min-height: 2.2rem; }
            button { font-weight: 600; cursor: pointer; }
            #entry div { margin: .5rem 0; display: flex; flex-wrap: wrap; gap: .5rem; }
            #fleet-form { display: flex; flex-wrap: wrap; gap: .5rem 1rem; margin-bottom: .75rem; }
            progress { width: 100%; height: .7rem; accent-color: var(--leaf); }
            #now { font-size: 1.15rem; margin-bottom: .4rem; }
            #waiting { color: var(--warn); font-weight: 600; }
            #waiting:empty, p.soft:empty { display: none; }
            #figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .9rem 1.25rem;
              margin: 0; }
            dt { font-size: .85rem; }
            dd { margin: 0; font-variant-numeric: tabular-nums; }
            #figures dd { font-size: 1.15rem; font-weight: 600; }
            #figures dd[data-key=snapshot] { font-size: .95rem; }
            #stages { list-style: none; display: flex; flex-wrap: wrap; gap: .5rem; margin: 0 0 1rem; padding: 0; }
            #stages li { border: 1px solid var(--rule); border-top: 4px solid var(--rule); border-radius: .4rem; padding:
              .3rem .7rem; font-size: .88rem; }
            #stages b { display: block; }
            .s0 { --mine: var(--c0); }
            .s1 { --mine: var(--c1); }
            .s2 { --mine: var(--c2); }
            .s3 { --mine: var(--c3); }
            #stages .begun { border-top-color: var(--mine); }
            .bars { display: grid; grid-template-columns: minmax(5rem, auto) minmax(0, 1fr); gap: .3rem .8rem; margin: 0 0
              1rem; align-items: center; }
            .bars dd { display: flex; align-items: center; gap: .5rem; white-space: nowrap; }
            .bars i { display: block; height: .8rem; min-width: 2px; border-radius: 2px; background: var(--mine,
              var(--c0)); }
            .bars dd > span:first-child { flex: 1 1 auto; min-width: 0; }
            figure { margin: 0; }
            figcaption { font-size: .85rem; display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
            .key { display: inline-flex; align-items: center; gap: .4rem; }
            .key svg { width: 1.6rem; height: .8rem; }
            .plot { display: block; height: 210px; }
            .plot svg { display: block; width: 100%; height: 100%; }
            .line { fill: none; stroke: var(--mine); stroke-width: 2; stroke-linejoin: round; }
            .dot { fill: var(--mine); }
            .d1 { stroke-dasharray: 7 3; }
            .d2 { stroke-dasharray: 2 3; }
            .d3 { stroke-dasharray: 9 3 2 3; }
            .grid { stroke: var(--rule); }
            .edge { stroke: var(--soft); stroke-dasharray: 2 3; }
            .tick { fill: var(--soft); font-size: 11px; }
            .bar { fill: var(--mine); }
            .pale { opacity: .4; }
            .cross { stroke: var(--ink); stroke-width: 1; }
            .readout { min-height: 1.5em; font-size: .85rem; font-variant-numeric: tabular-nums; margin: .1rem 0; }
            .scroll { overflow-x: auto; max-height: 28rem; overflow-y: auto; }
            table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
            caption { text-align: left; font-size: .85rem; padding-bottom: .25rem; }
            th, td { overflow-wrap: normal; text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid
              var(--rule); vertical-align: top; }
            th { color: var(--soft); font-weight: 500; font-size: .82rem; }
            .n { text-align: right; white-space: nowrap; }
            thead th { position: sticky; top: 0; background: var(--panel); }
            tbody th { color: inherit; font-size: inherit; min-width: 7rem; max-width: 24rem; overflow-wrap: anywhere; }
            .text { min-width: 14rem; overflow-wrap: anywhere; }
            details summary { cursor: pointer; font-size: .85rem; color: var(--soft); }
            footer { margin-top: 1rem; font-size: .85rem; display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; }
            @media (max-width: 30rem) {
              section { padding: .8rem; }
              .plot { height: 180px; }
            }
            @media (prefers-reduced-motion: no-preference) {
              .bars i { transition: width .3s; }
            }
            footer span:empty { display: none; }
            """#
}
