import Testing

@testable import Monitor

/// Drawings of figures that may be anything.
@Suite struct LineChartTests {
    private static func chart(_ values: [Double?], bounds: ClosedRange<Double>? = nil) -> LineChart {
        LineChart(
            id: "x", title: "A <title>",
            series: [LineChart.Series("one", values.enumerated().map { (Double($0.offset), $0.element) })],
            format: Figures.number, bounds: bounds)
    }

    @Test(arguments: [[], [nil, nil], [Double.nan, .infinity, -.infinity], [1], [nil, 3, .nan]] as [[Double?]])
    func nothingToDrawIsNoDrawing(_ values: [Double?]) { #expect(Self.chart(values).markup == nil) }

    @Test(
        arguments: [
            [0, 0], [5, 5, 5], [-2, -2], [1e-300, 2e-300], [-1e99, 1e99], [1e15, 1e15 + 1], [0.1, .nan, 0.2],
            [1, .infinity, 2], [.greatestFiniteMagnitude, 1, 2], [1e-9, 1e9],
        ] as [[Double?]])
    func everyPlaceIsWithinTheDrawing(_ values: [Double?]) throws {
        let text = try #require(Self.chart(values).markup).text
        #expect(!text.contains("nan") && !text.contains("inf"))
        let points = try #require(text.split(separator: "points=\"").dropFirst().first?.split(separator: "\"").first)
        for pair in points.split(separator: " ") {
            let place = pair.split(separator: ",").compactMap { Double($0) }
            try #require(place.count == 2)
            #expect((66...546).contains(place[0]) && (10...208).contains(place[1]), "\(pair)")
        }
        #expect(text.contains("A &lt;title&gt;"))
        #expect(text.components(separatedBy: "class=\"tick").count < 20)
    }

    @Test func aScaleSpansItsFiguresAndStaysWithinBounds() throws {
        let scale = try #require(AxisScale([0.95, 0.99], bounds: 0...1))
        #expect(scale.low == 0.95 && scale.high == 0.99)
        let constant = try #require(AxisScale([1, 1], bounds: 0...1))
        #expect(constant.low == 0.95 && constant.high == 1)
        let zero = try #require(AxisScale([0, 0], least: 0))
        #expect(zero.low == 0 && zero.high == 1 && zero.place(0) == 0)
        let outside = try #require(AxisScale([7, 9], bounds: 0...1))
        #expect(outside.low == 0 && outside.high == 1 && outside.place(9) == 1)
        #expect(AxisScale([.nan]) == nil)
        let empty: [Double] = []
        #expect(AxisScale(empty) == nil)
    }

    @Test func ticksAreRoundAndFew() throws {
        #expect(try #require(AxisScale([0, 10])).ticks(5) == [0, 2, 4, 6, 8, 10])
        let small = try #require(AxisScale([0.912, 0.988])).ticks(5).map(Figures.number)
        #expect(small == ["0.92", "0.94", "0.96", "0.98"])
        for values in [[1e15, 1e15 + 1], [-1e99, 1e99], [0, 5e-324]] {
            #expect(try #require(AxisScale(values)).ticks(5).count < 9)
        }
    }

    @Test func manyPointsHaveNoDotsAndAWordedSummary() throws {
        let chart = Self.chart((0..<300).map { Double($0) })
        let text = try #require(chart.markup).text
        #expect(!text.contains("<circle"))
        #expect(chart.description == "one: 0 at round 0, 299 at round 299; least 0, most 299.")
        #expect(try #require(Self.chart([1, 2, nil, 4]).markup).text.components(separatedBy: "<circle").count == 4)
    }
}
