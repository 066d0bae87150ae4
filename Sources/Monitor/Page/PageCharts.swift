extension StatusPage {
    /// Figures as text, and charts that keyboards and screen readers can read.
    static let chartScript = #"""
        const at = id => document.getElementById(id);
        // Names come from other machines: what would turn the direction of a line, or hide in it, is spelt out.
        const plain = text => String(text).replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\u2028\u2029]/gu,
          c => "\\u{" + c.codePointAt(0).toString(16).toUpperCase() + "}");
        const put = (id, text) => {
          const e = at(id), said = plain(text);
          if (e.textContent !== said) e.textContent = said;
        };
        const make = (tag, text, kind) => {
          const e = document.createElement(tag);
          if (text != null) e.textContent = plain(text);
          if (kind) e.className = kind;
          return e;
        };
        const drawn = (tag, facts, text) => {
          const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
          for (const [name, value] of Object.entries(facts)) e.setAttribute(name, value);
          if (text != null) e.textContent = text;
          return e;
        };
        const known = x => typeof x === "number" && Number.isFinite(x);
        const unknown = "–";
        const whole = n => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
        const share = x => known(x) ? (100 * x).toFixed(2) + " %" : unknown;
        const figure = x => known(x) ? String(Number(x.toPrecision(4))) : unknown;
        const bytes = n => {
          if (!known(n)) return unknown;
          const units = ["B", "KB", "MB", "GB", "TB", "PB"];
          let i = 0;
          while (n >= 999.5 && i < 5) { n /= 1000; i += 1; }
          return (i ? n.toPrecision(3) : n) + " " + units[i];
        };
        const seconds = s => {
          if (!known(s)) return unknown;
          if (s < 99.95) return s.toFixed(s < 9.995 ? 2 : 1) + " s";
          const m = Math.round(s / 60);
          return s < 3570 ? m + " min" : Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min";
        };
        // One name of a worker may be long: it is cut for the eye, whole in its title.
        const name = text => {
          const e = make("span", text.length > 80 ? text.slice(0, 79) + "…" : text);
          if (text.length > 80) e.title = plain(text.slice(0, 1000));
          return e;
        };

        // Round numbers for an axis from low to high: steps of 1, 2 or 5 times a power of ten.
        function ticks(low, high, most) {
          const raw = (high - low) / most || 1;
          const power = 10 ** Math.floor(Math.log10(raw));
          const step = [1, 2, 5, 10].map(x => x * power).find(x => x >= raw * 0.999);
          const found = [];
          for (let x = Math.ceil(low / step - 1e-9) * step; x <= high + step * 1e-6; x += step) {
            found.push(Number(x.toPrecision(12)));
          }
          return found;
        }

        // A chart of rounds: `series` are {name, values, format, axis}, one value a point, null where there is none. What
        // it shows can be read with the arrow keys, and as a table.
        class Chart {
          constructor(id, title, axes, bars) {
            Object.assign(this, { title, axes, bars, points: [], series: [], chosen: null });
            const host = at(id);
            this.keys = make("figcaption");
            this.plot = make("div", null, "plot");
            const roles = { tabindex: 0, role: "slider", "aria-label": title + ", chart by round", "aria-valuemin": 0 };
            for (const [key, value] of Object.entries(roles)) this.plot.setAttribute(key, value);
            this.readout = make("p", "", "readout soft");
            this.readout.setAttribute("aria-hidden", "true");
            this.details = make("details");
            this.scroll = make("div", null, "scroll");
            for (const [key, value] of Object.entries({ tabindex: 0, role: "region", "aria-label": title + ", table" }))
              this.scroll.setAttribute(key, value);
            this.details.append(make("summary", title + " as a table"), this.scroll);
            host.append(this.keys, this.plot, this.readout, this.details);
            this.details.addEventListener("toggle", () => this.tabulate());
            this.plot.addEventListener("keydown", event => this.step(event));
            this.plot.addEventListener("pointermove", event => this.point(event));
            this.plot.addEventListener("pointerleave", () => this.choose(null));
            this.plot.addEventListener("blur", () => this.choose(null));
            new ResizeObserver(() => this.draw()).observe(this.plot);
          }

          // `points` are {label, at, stage, pale}: `at` is a place on the axis of rounds.
          show(points, series) {
            this.points = points;
            this.series = series;
            if (this.chosen != null && this.chosen >= points.length) this.chosen = null;
            this.keys.replaceChildren(...(this.bars ? [] : series.map((one, i) => {
              const key = make("span", null, "key s" + i);
              const line = drawn("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" });
              line.append(drawn("line", { x1: 0, x2: 26, y1: 6, y2: 6, class: "line d" + i }));
              key.append(line, make("span", one.name));
              return key;
            })));
            this.draw();
            this.choose(this.chosen);
            if (this.details.open) this.tabulate();
          }

          say(index) {
            const point = this.points[index];
            const said = this.series.filter(s => known(s.values[index]))
              .map(s => s.name + " " + s.format(s.values[index]));
            return point.label + ": " + (said.join(", ") || "not measured");
          }

          // The last point that has a figure.
          newest() { return this.points.findLastIndex((_, i) => this.series.some(s => known(s.values[i]))); }

          choose(index) {
            this.chosen = index;
            const last = this.points.length - 1, told = index ?? this.newest();
            this.plot.setAttribute("aria-valuemax", Math.max(0, last));
            this.plot.setAttribute("aria-valuenow", Math.max(0, told));
            this.plot.setAttribute("aria-valuetext", told < 0 ? "no figures yet" : this.say(told));
            this.readout.textContent = told < 0 ? "No figures yet" : this.say(told);
            if (this.cross) {
              const x = index == null ? -10 : this.x(this.points[index].at);
              for (const end of ["x1", "x2"]) this.cross.setAttribute(end, x);
            }
          }

          step(event) {
            const last = this.points.length - 1, from = this.chosen ?? this.newest();
            const to = { ArrowLeft: from - 1, ArrowDown: from - 1, ArrowRight: from + 1, ArrowUp: from + 1,
              PageDown: from - 10, PageUp: from + 10, Home: 0, End: last }[event.key];
            if (to == null || last < 0) return;
            event.preventDefault();
            this.choose(Math.min(Math.max(to, 0), last));
          }

          point(event) {
            if (!this.points.length) return;
            const x = event.clientX - this.plot.getBoundingClientRect().left;
            const distances = this.points.map(p => Math.abs(this.x(p.at) - x));
            this.choose(distances.indexOf(Math.min(...distances)));
          }

          draw() {
            const width = Math.max(200, this.plot.clientWidth), height = Math.max(120, this.plot.clientHeight);
            const right = this.axes.length > 1 ? 46 : 10, left = 52, top = 8, bottom = height - 22;
            const svg = drawn("svg", { viewBox: "0 0 " + width + " " + height, "aria-hidden": "true" });
            const first = this.points.length ? this.points[0].first : 0;
            const last = Math.max(first + 1, this.points.length ? this.points[this.points.length - 1].at : 1);
            const pad = this.bars ? 0.5 : 0;
            this.x = at => left + (at - first + pad) / (last - first + 2 * pad) * (width - left - right);
            const scales = this.axes.map((axis, number) => {
              const values = this.series.filter(s => (s.axis || 0) === number).flatMap(s => s.values).filter(known);
              let low = axis.low ?? Math.min(...values), high = axis.high ?? Math.max(...values);
              if (!values.length) [low, high] = [axis.low ?? 0, axis.high ?? 1];
              if (axis.log) {
                [low, high] = [Math.floor(Math.log10(Math.max(1, low))), Math.ceil(Math.log10(Math.max(10, high)))];
                if (high <= low) high = low + 1;
              } else if (high <= low) [low, high] = [low - (axis.low == null ? 0.5 : 0), low + 1];
              const height = y => axis.log ? Math.log10(Math.max(1, y)) : y;
              const place = y => bottom - (height(y) - low) / (high - low) * (bottom - top);
              const powers = () => ticks(low, high, 4).filter(Number.isInteger).map(e => 10 ** e);
              const lines = axis.log ? powers() : ticks(low, high, 5);
              for (const y of lines) {
                const line = { x1: left, x2: width - right, y1: place(y), y2: place(y), class: "grid" };
                if (number === 0) svg.append(drawn("line", line));
                svg.append(drawn("text", { x: number ? width - right + 6 : left - 6, y: place(y) + 4, class: "tick",
                  "text-anchor": number ? "start" : "end" }, axis.format(y)));
              }
              return place;
            });
            const edges = ticks(first, last, Math.max(2, Math.min(8, width / 90))).filter(Number.isInteger);
            for (const round of edges) {
              const place = { x: this.x(round), y: height - 6, class: "tick", "text-anchor": "middle" };
              svg.append(drawn("text", place, whole(round)));
            }
            this.points.forEach((p, i) => {
              if (i && p.stage !== this.points[i - 1].stage && !this.bars) {
                const x = (this.x(p.at) + this.x(this.points[i - 1].at)) / 2;
                svg.append(drawn("line", { x1: x, x2: x, y1: top, y2: bottom, class: "edge" }));
              }
            });
            if (this.bars) this.drawBars(svg, scales[0], bottom); else this.drawLines(svg, scales);
            this.cross = drawn("line", { x1: -10, x2: -10, y1: top, y2: bottom, class: "cross" });
            svg.append(this.cross);
            this.plot.replaceChildren(svg);
            if (this.chosen != null) this.choose(this.chosen);
          }

          drawBars(svg, place, bottom) {
            const slot = (this.x(1) - this.x(0)), gap = slot > 6 ? 1 : 0;
            this.points.forEach((p, i) => {
              const y = place(this.series[0].values[i] || 0);
              const from = this.x(p.first) - slot / 2, to = this.x(p.at) + slot / 2;
              svg.append(drawn("rect", { x: from + gap, y: Math.min(y, bottom - 1.5),
                width: Math.max(0.8, to - from - 2 * gap), height: Math.max(1.5, bottom - y),
                class: "bar s" + p.stage % 4 + (p.pale ? " pale" : "") }));
            });
          }

          drawLines(svg, scales) {
            this.series.forEach((one, number) => {
              const place = scales[one.axis || 0], path = [];
              one.values.forEach((y, i) => { if (known(y)) path.push([this.x(this.points[i].at), place(y)]); });
              const kind = "s" + number;
              const points = path.map(([x, y]) => x.toFixed(1) + "," + y.toFixed(1)).join(" ");
              if (path.length > 1) svg.append(drawn("polyline", { points, class: "line " + kind + " d" + number }));
              if (path.length > 40) return;
              for (const [x, y] of path) svg.append(drawn("circle", { cx: x, cy: y, r: 3, class: "dot " + kind }));
            });
          }

          // Made when it is looked at.
          tabulate() {
            if (!this.details.open) return this.scroll.replaceChildren();
            const table = make("table"), head = make("tr"), body = make("tbody"), top = make("thead");
            head.append(...["Round", ...this.series.map(s => s.name)].map((text, i) => {
              const cell = make("th", text, i ? "n" : "");
              cell.scope = "col";
              return cell;
            }));
            this.points.forEach((p, i) => {
              const row = make("tr"), label = make("th", p.label);
              label.scope = "row";
              row.append(label, ...this.series.map(s => make("td", s.format(s.values[i]), "n")));
              body.append(row);
            });
            top.append(head);
            table.append(make("caption", this.title), top, body);
            this.scroll.replaceChildren(table);
          }
        }
        """#
}
