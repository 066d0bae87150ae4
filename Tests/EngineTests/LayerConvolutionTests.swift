import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Convolutions against sums written out.
struct LayerConvolutionTests {
    struct Case: Sendable {
        var input: [Int]
        var weight: [Int]
        var groups = 1
        var strides: [Int]
        var pads: [Int]
        var dilations: [Int]
        var added: [Int] = []
    }

    private func attributes(_ c: Case) -> [String: AttributeValue] {
        var attributes: [String: AttributeValue] = [
            "group": .int(Int64(c.groups)), "strides": .ints(c.strides.map(Int64.init)),
            "pads": .ints(c.pads.map(Int64.init)), "dilations": .ints(c.dilations.map(Int64.init)),
        ]
        if !c.added.isEmpty { attributes["output_padding"] = .ints(c.added.map(Int64.init)) }
        return attributes
    }

    /// y[n, o, p] = b[o] + Σ x[n, i, p·stride + k·dilation − pad] · w[o, i, k].
    private func convolution(_ x: Tensor, _ w: Tensor, _ b: Tensor, _ c: Case) -> Tensor {
        let (input, kernel) = (c.input, Array(c.weight.dropFirst(2)))
        var outputs = [input[0], c.weight[0]]
        for axis in kernel.indices {
            let reach = (kernel[axis] - 1) * c.dilations[axis] + 1
            let room = input[axis + 2] + c.pads[axis] + c.pads[axis + kernel.count] - reach
            outputs.append(room / c.strides[axis] + 1)
        }
        let share = c.weight[1]
        let values: [Double] = places(outputs).map { place in
            let first = place[1] / (outputs[1] / c.groups) * share
            return b.doubles[place[1]]
                + sum(places([share] + kernel)) { k in
                    var source = [place[0], first + k[0]]
                    for axis in kernel.indices {
                        let at = place[axis + 2] * c.strides[axis] + k[axis + 1] * c.dilations[axis] - c.pads[axis]
                        guard at >= 0, at < input[axis + 2] else { return 0 }
                        source.append(at)
                    }
                    return x.element(source) * w.element([place[1]] + k)
                }
        }
        return Tensor(values, outputs)
    }

    @Test(arguments: [
        Case(input: [2, 2, 7], weight: [3, 2, 3], strides: [2], pads: [1, 2], dilations: [2]),
        Case(
            input: [1, 4, 5, 6], weight: [4, 2, 3, 2], groups: 2, strides: [1, 2], pads: [0, 1, 2, 0],
            dilations: [1, 2]),
        Case(
            input: [1, 3, 4, 4], weight: [3, 1, 3, 3], groups: 3, strides: [1, 1], pads: [1, 1, 1, 1],
            dilations: [1, 1]),
        Case(
            input: [1, 2, 3, 4, 3], weight: [2, 2, 2, 2, 2], strides: [1, 2, 1], pads: [0, 1, 0, 1, 1, 1],
            dilations: [1, 1, 2]),
    ])
    func convolutionIsItsSum(c: Case) throws {
        var generator = SeededGenerator(seed: 1)
        let (x, w) = (Tensor.random(c.input, &generator), Tensor.random(c.weight, &generator))
        let b = Tensor.random([c.weight[0]], &generator)
        let application = Application(type: "Conv", attributes: attributes(c))
        #expect(try application.run(x, w, b)[0].distance(convolution(x, w, b, c)) < 1e-12)
        #expect(try application.gradientError(x, w, b) < 1e-6)
    }

    /// Each input place adds its value times the kernel to the output, from place · stride − pad on.
    private func transposed(
        _ x: Tensor, _ w: Tensor, _ b: Tensor, _ c: Case, _ begins: [Int], _ extents: [Int]
    ) -> Tensor {
        var sums: [[Int]: Double] = [:]
        for place in places(c.input) {
            let group = place[1] / (c.input[1] / c.groups)
            for k in places(Array(c.weight.dropFirst())) {
                var target = [place[0], group * c.weight[1] + k[0]]
                for axis in extents.indices {
                    target.append(place[axis + 2] * c.strides[axis] + k[axis + 1] * c.dilations[axis] - begins[axis])
                }
                let product: Double = x.element(place) * w.element([place[1]] + k)
                sums[target, default: 0] += product
            }
        }
        let outputs = [c.input[0], c.weight[1] * c.groups] + extents
        let values: [Double] = places(outputs).map { place in
            let bias = b.doubles[place[1]]
            return sums[place, default: 0] + bias
        }
        return Tensor(values, outputs)
    }

    @Test(arguments: [
        Case(input: [2, 2, 4], weight: [2, 3, 3], strides: [2], pads: [1, 0], dilations: [2], added: [1]),
        Case(
            input: [1, 4, 3, 2], weight: [4, 2, 3, 2], groups: 2, strides: [3, 2], pads: [0, 1, 2, 0],
            dilations: [1, 2],
            added: [2, 1]),
        Case(
            input: [1, 1, 2, 2, 2], weight: [1, 2, 2, 2, 2], strides: [1, 2, 1], pads: [0, 0, 1, 0, 1, 0],
            dilations: [1, 1, 1], added: [0, 1, 0]),
    ])
    func transposedConvolutionIsItsSum(c: Case) throws {
        var generator = SeededGenerator(seed: 2)
        let (x, w) = (Tensor.random(c.input, &generator), Tensor.random(c.weight, &generator))
        let b = Tensor.random([c.weight[1] * c.groups], &generator)
        var extents: [Int] = []
        for (axis, stride) in c.strides.enumerated() {
            let whole = stride * (c.input[axis + 2] - 1) + (c.weight[axis + 2] - 1) * c.dilations[axis] + 1
            extents.append(whole + c.added[axis] - c.pads[axis] - c.pads[axis + c.strides.count])
        }
        let application = Application(type: "ConvTranspose", attributes: attributes(c))
        let expected = transposed(x, w, b, c, Array(c.pads.prefix(c.strides.count)), extents)
        #expect(try application.run(x, w, b)[0].distance(expected) < 1e-12)
        #expect(try application.gradientError(x, w, b) < 1e-6)
    }

    /// Output shapes that the node states, and where the cut falls when it is odd.
    @Test(
        arguments: [
            ("SAME_UPPER", nil, [8], 0), ("SAME_LOWER", nil, [8], 1), ("NOTSET", [6], [6], 2),
            ("SAME_UPPER", [6], [6], 1),
            ("NOTSET", [11], [11], 0), ("VALID", nil, [9], 0),
        ] as [(String, [Int64]?, [Int], Int)])
    func transposedConvolutionOfAGivenShape(mode: String, wanted: [Int64]?, extents: [Int], begin: Int) throws {
        let c = Case(input: [1, 1, 4], weight: [1, 1, 3], strides: [2], pads: [], dilations: [1])
        var generator = SeededGenerator(seed: 3)
        let (x, w) = (Tensor.random(c.input, &generator), Tensor.random(c.weight, &generator))
        var attributes: [String: AttributeValue] = ["strides": .ints([2]), "auto_pad": .string(mode)]
        if let wanted { attributes["output_shape"] = .ints(wanted) }
        let found = try Application(type: "ConvTranspose", attributes: attributes).run(x, w)[0]
        #expect(found.distance(transposed(x, w, Tensor([0.0], [1]), c, [begin], extents)) < 1e-12)
    }

    @Test func halfPrecisionIsFloat32RoundedOnce() throws {
        let half = { (values: [Float]) in
            Tensor(elements: values.map(Float16.init), elementType: .float16, shape: [1, 1, values.count])
        }
        let found = try Application(type: "Conv").run(half([1, 2048, 1]), half([1, 1]))[0]
        #expect(found.elements(as: Float16.self) == [2049 as Float, 2049].map(Float16.init))
    }

    @Test(
        arguments: [
            ("Conv", ["auto_pad": .string("SAME")], "auto_pad 'SAME'"), ("Conv", ["strides": .ints([0])], "strides"),
            ("Conv", ["dilations": .ints([1 << 40])], "dilations"), ("Conv", ["pads": .ints([-1, 0])], "pads"),
            ("Conv", ["group": .int(0)], "group 0"), ("Conv", ["kernel_shape": .ints([5])], "kernel_shape [5]"),
            ("Conv", ["strides": .ints([1, 1])], "do not fit"), ("Conv", ["pads": .ints([0])], "do not fit"),
            ("ConvTranspose", ["output_padding": .ints([-1])], "output_padding"),
            ("ConvTranspose", ["output_shape": .ints([1, 1])], "output_shape"),
            ("ConvTranspose", ["strides": .ints([1 << 30])], "that long"),
            ("ConvTranspose", ["pads": .ints([9, 9])], "output axis of"),
        ] as [(String, [String: AttributeValue], String)])
    func whatMeansNothingIsRefused(type: String, attributes: [String: AttributeValue], reason: String) {
        #expect(
            performing: {
                try Application(type: type, attributes: attributes).run(
                    Tensor([1.0, 2, 3, 4], [1, 1, 4]), Tensor([1.0, 1], [1, 1, 2]))
            }, throws: says("'\(type)' (node 'node')", reason))
    }
}
