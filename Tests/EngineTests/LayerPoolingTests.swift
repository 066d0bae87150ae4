import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Pools against windows walked one by one.
struct LayerPoolingTests {
    struct Case: Sendable {
        var input: [Int]
        var kernel: [Int]
        var strides: [Int]
        var pads: [Int]
        var dilations: [Int]
        var ceilMode = false

        var attributes: [String: AttributeValue] {
            [
                "kernel_shape": .ints(kernel.map(Int64.init)), "strides": .ints(strides.map(Int64.init)),
                "pads": .ints(pads.map(Int64.init)), "dilations": .ints(dilations.map(Int64.init)),
                "ceil_mode": .int(ceilMode ? 1 : 0),
            ]
        }
    }

    static let cases = [
        Case(input: [2, 2, 7], kernel: [3], strides: [2], pads: [1, 1], dilations: [1]),
        Case(input: [1, 2, 7], kernel: [2], strides: [3], pads: [0, 1], dilations: [2], ceilMode: true),
        // The last window would start in the padding: it is left out.
        Case(
            input: [1, 1, 4, 4], kernel: [3, 3], strides: [3, 3], pads: [1, 1, 1, 1], dilations: [1, 1], ceilMode: true),
        Case(input: [1, 2, 5, 6], kernel: [2, 3], strides: [2, 1], pads: [1, 0, 0, 2], dilations: [1, 2]),
        Case(
            input: [1, 1, 6, 5], kernel: [3, 2], strides: [2, 2], pads: [2, 1, 2, 1], dilations: [1, 1], ceilMode: true),
        Case(
            input: [1, 2, 4, 5, 4], kernel: [2, 2, 3], strides: [1, 2, 2], pads: [0, 1, 1, 1, 0, 1],
            dilations: [1, 2, 1],
            ceilMode: true),
    ]

    /// What one output reads.
    struct Walk {
        var channel: [Int]
        /// The places that lie in the input.
        var places: [[Int]] = []
        /// How many lie in the input or its padding.
        var padded = 0
    }

    private func windows(_ c: Case) -> (extents: [Int], windows: [Walk]) {
        let spatial = c.kernel.count
        var outputs = [c.input[0], c.input[1]]
        for axis in 0..<spatial {
            let room =
                c.input[axis + 2] + c.pads[axis] + c.pads[axis + spatial] - (c.kernel[axis] - 1) * c.dilations[axis]
            var count = (room - 1) / c.strides[axis] + 1
            let startsInside = count * c.strides[axis] < c.input[axis + 2] + c.pads[axis]
            if c.ceilMode, (room - 1) % c.strides[axis] > 0, startsInside { count += 1 }
            outputs.append(count)
        }
        let windows: [Walk] = places(outputs).map { place in
            var walk = Walk(channel: Array(place.prefix(2)))
            for k in places(c.kernel) {
                var (source, isInside, isPadded): ([Int], Bool, Bool) = ([], true, true)
                for axis in 0..<spatial {
                    let at = place[axis + 2] * c.strides[axis] + k[axis] * c.dilations[axis] - c.pads[axis]
                    isInside = isInside && at >= 0 && at < c.input[axis + 2]
                    isPadded = isPadded && at >= -c.pads[axis] && at < c.input[axis + 2] + c.pads[axis + spatial]
                    source.append(at)
                }
                if isInside { walk.places.append(source) }
                if isPadded { walk.padded += 1 }
            }
            return walk
        }
        return (outputs, windows)
    }

    @Test(arguments: cases) func maxPoolsAndTheirPlaces(c: Case) throws {
        var generator = SeededGenerator(seed: 4)
        let x = Tensor.random(c.input, &generator)
        let (extents, windows) = windows(c)
        let best: [[Int]] = windows.map { window in
            window.places.max { x.element(window.channel + $0) < x.element(window.channel + $1) } ?? []
        }
        let expected = Tensor(zip(windows, best).map { x.element($0.channel + $1) }, extents)
        #expect(try Application(type: "MaxPool", attributes: c.attributes).run(x)[0] == expected)
        for order in [0, 1] {
            var application = Application(type: "MaxPool", attributes: c.attributes, outputs: 2)
            application.attributes["storage_order"] = .int(Int64(order))
            let found = try application.run(x)
            #expect(found[0] == expected)
            let axes = c.kernel.indices.map { order == 0 ? $0 : c.kernel.count - 1 - $0 }
            let indices: [Int64] = zip(windows, best).map { window, place in
                var index = window.channel[0] * c.input[1] + window.channel[1]
                let plane = c.input.dropFirst(2).reduce(1, *)
                var step = 0
                for axis in axes { step = step * c.input[axis + 2] + place[axis] }
                index = index * plane + step
                return Int64(index)
            }
            #expect(found[1].elements(as: Int64.self) == indices)
        }
        #expect(try Application(type: "MaxPool", attributes: c.attributes).gradientError(x) < 1e-6)
    }

    @Test(arguments: cases, [0, 1]) func averagePools(c: Case, countsPadding: Int64) throws {
        var generator = SeededGenerator(seed: 5)
        let x = Tensor.random(c.input, &generator)
        let (extents, windows) = windows(c)
        let expected: [Double] = windows.map { window in
            let total = sum(window.places) { x.element(window.channel + $0) }
            return total / Double(countsPadding == 1 ? window.padded : window.places.count)
        }
        var application = Application(type: "AveragePool", attributes: c.attributes)
        application.attributes["count_include_pad"] = .int(countsPadding)
        #expect(try application.run(x)[0].distance(Tensor(expected, extents)) < 1e-12)
        #expect(try application.gradientError(x) < 1e-6)
    }

    @Test func codesArePooledAsTheyAre() throws {
        let bytes = Tensor([3, 250, 7, 1] as [UInt8], shape: [1, 1, 4])
        let attributes: [String: AttributeValue] = ["kernel_shape": .ints([2]), "pads": .ints([1, 1])]
        let found = try Application(type: "MaxPool", attributes: attributes, outputs: 2).run(bytes)
        #expect(found[0].bytes == [3, 250, 250, 7, 1])
        let signed = Tensor(elements: [-3, -128, -7] as [Int8], elementType: .int8, shape: [1, 1, 3])
        let negative = try Application(type: "MaxPool", attributes: attributes).run(signed)[0]
        #expect(negative.elements(as: Int8.self) == [-3, -3, -7, -7])
    }

    @Test func globalPools() throws {
        let x = Tensor([1.0, 3, 5, 9, -1, -2, -3, -4], [1, 2, 2, 2])
        #expect(try Application(type: "GlobalMaxPool").run(x)[0] == Tensor([9.0, -1], [1, 2, 1, 1]))
        #expect(try Application(type: "GlobalAveragePool").run(x)[0] == Tensor([4.5, -2.5], [1, 2, 1, 1]))
    }

    @Test(
        arguments: [
            (["kernel_shape": .ints([0])], "kernel_shape"), ([:], "kernel_shape"),
            (["kernel_shape": .ints([9])], "does not fit"), (["kernel_shape": .ints([1 << 40])], "kernel_shape"),
            (["kernel_shape": .ints([2, 2])], "axes where 4 are needed"),
        ] as [([String: AttributeValue], String)])
    func windowsThatMeanNothingAreRefused(attributes: [String: AttributeValue], reason: String) {
        for type in ["MaxPool", "AveragePool"] {
            #expect(
                performing: {
                    try Application(type: type, attributes: attributes).run(Tensor([1.0, 2, 3], [1, 1, 3]))
                }, throws: says("'\(type)' (node 'node')", reason))
        }
    }
}
