/// Figures over rounds as a drawing: readable by people, by printers and, through its title and description, by screen readers.
struct LineChart {
    /// One line. Points with figures that are no numbers are left out.
    struct Series {
        var name: String
        var points: [(x: Double, y: Double)]

        init(_ name: String, _ points: [(x: Double, y: Double?)]) {
            self.name = name
            self.points = points.compactMap { point in
                guard let y = point.y, AxisScale.isKnown(y), AxisScale.isKnown(point.x) else { return nil }
                return (point.x, y)
            }
        }
    }

    /// Names the drawing within its page.
    var id: String
    var title: String
    var series: [Series]
    var format: (Double) -> String
    var across = "round"
    var acrossFormat: (Double) -> String = { Figures.count(Int(exactly: $0.rounded()) ?? 0) }
    /// Where the axis of figures begins at the latest, and what it never leaves.
    var least: Double?
    var bounds: ClosedRange<Double>?
    /// Where something new begins, in the figures of the axis across.
    var edges: [Double] = []
    /// Points stand alone, without a line from one to the next.
    var isCloud = false

    private static let width = 560.0
    private static let height = 240.0
    private static let left = 66.0
    private static let right = 14.0
    private static let top = 10.0
    private static let bottom = 208.0
    /// With more of them dots hide the line.
    private static let dotLimit = 40

    /// nil where there is nothing to draw a line between.
    var markup: Markup? {
        let drawn = series.filter { !$0.points.isEmpty }
        guard drawn.contains(where: { $0.points.count > 1 }),
            let down = AxisScale(drawn.flatMap { $0.points.map(\.y) }, least: least, bounds: bounds),
            let across = AxisScale(drawn.flatMap { $0.points.map(\.x) })
        else { return nil }
        let keys = drawn.enumerated().map { number, one in key(number, one.name) }
        return """
            <figure><figcaption><b>\(title)</b>\(drawn.count > 1 ? keys : [])</figcaption>
            <svg class="plot" viewBox="0 0 560 240" role="img" aria-labelledby="\(id)-t \(id)-d">
            <title id="\(id)-t">\(title)</title><desc id="\(id)-d">\(Markup(Markup.escaped(description, limit: 2000)))</desc>
            \(axes(down: down, across: across))\(drawn.enumerated().map { lines($0, $1, down, across) })</svg></figure>

            """
    }

    /// What the drawing shows, in words.
    var description: String {
        series.filter { !$0.points.isEmpty }.map { one in
            guard let first = one.points.first, let last = one.points.last else { return "" }
            let most = one.points.max { $0.y < $1.y } ?? last
            let least = one.points.min { $0.y < $1.y } ?? last
            return "\(one.name): \(format(first.y)) at \(across) \(acrossFormat(first.x)), "
                + "\(format(last.y)) at \(across) \(acrossFormat(last.x)); "
                + "least \(format(least.y)), most \(format(most.y))."
        }.joined(separator: " ")
    }

    private func key(_ number: Int, _ name: String) -> Markup {
        """
        <span class="key s\(number % 4)"><svg viewBox="0 0 26 12" aria-hidden="true"><line x1="0" x2="26" y1="6" y2="6" \
        class="line d\(number % 4)"/></svg>\(name)</span>
        """
    }

    private func axes(down: AxisScale, across: AxisScale) -> Markup {
        var drawn = Markup()
        for figure in down.ticks(5) {
            let y = SVG.number(Self.y(figure, down))
            drawn += """
                <line x1="\(SVG.number(Self.left))" x2="\(SVG.number(Self.width - Self.right))" y1="\(y)" y2="\(y)" \
                class="grid"/><text x="\(SVG.number(Self.left - 6))" y="\(y)" dy="4" class="tick end">\(format(figure))</text>
                """
        }
        for figure in across.ticks(5) where isCloud || figure == figure.rounded() {
            drawn += """
                <text x="\(SVG.number(Self.x(figure, across)))" y="\(SVG.number(Self.height - 12))" \
                class="tick middle">\(acrossFormat(figure))</text>
                """
        }
        for edge in edges where edge > across.low && edge < across.high {
            let x = SVG.number(Self.x(edge, across))
            drawn += """
                <line x1="\(x)" x2="\(x)" y1="\(SVG.number(Self.top))" y2="\(SVG.number(Self.bottom))" class="edge"/>
                """
        }
        return drawn
    }

    private func lines(_ number: Int, _ one: Series, _ down: AxisScale, _ across: AxisScale) -> Markup {
        let places = one.points.map { (x: SVG.number(Self.x($0.x, across)), y: SVG.number(Self.y($0.y, down))) }
        var drawn = Markup()
        if places.count > 1, !isCloud {
            let path = Markup(places.map { "\($0.x),\($0.y)" }.joined(separator: " "))
            drawn += "<polyline points=\"\(path)\" class=\"line s\(number % 4) d\(number % 4)\"/>\n"
        }
        guard places.count <= Self.dotLimit || isCloud else { return drawn }
        for (place, point) in zip(places, one.points) {
            drawn += """
                <circle cx="\(place.x)" cy="\(place.y)" r="3" class="dot s\(number % 4)"><title>\(one.name), \(self.across) \
                \(acrossFormat(point.x)): \(format(point.y))</title></circle>

                """
        }
        return drawn
    }

    private static func x(_ figure: Double, _ scale: AxisScale) -> Double {
        left + scale.place(figure) * (width - left - right)
    }

    private static func y(_ figure: Double, _ scale: AxisScale) -> Double {
        bottom - scale.place(figure) * (bottom - top)
    }
}
