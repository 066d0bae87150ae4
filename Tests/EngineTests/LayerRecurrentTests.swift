import Foundation
import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Recurrent layers against their equations, one number at a time.
struct LayerRecurrentTests {
    struct Case: Sendable, CustomStringConvertible {
        var type: String
        var direction = "forward"
        var layout = 0
        var isLinearBeforeReset = false
        var couples = false
        var clip = 0.0
        var lengths: [Int32]?
        var peeps = false
        var hasBias = true
        var hasStates = true
        var activations: [String] = []

        var gates: Int { ["RNN": 1, "GRU": 3, "LSTM": 4][type]! }
        var directions: Int { direction == "bidirectional" ? 2 : 1 }
        var description: String { "\(type) \(direction) \(layout) \(activations) \(lengths ?? []) \(clip)" }

        var attributes: [String: AttributeValue] {
            var attributes: [String: AttributeValue] = [
                "hidden_size": .int(2), "direction": .string(direction), "layout": .int(Int64(layout)),
            ]
            if isLinearBeforeReset { attributes["linear_before_reset"] = .int(1) }
            if couples { attributes["input_forget"] = .int(1) }
            if clip > 0 { attributes["clip"] = .float(Float(clip)) }
            if !activations.isEmpty {
                attributes["activations"] = .strings(Array(repeating: activations, count: directions).flatMap { $0 })
                attributes["activation_alpha"] = .floats([0.5, 0.25])
            }
            return attributes
        }
    }

    private let steps = 4
    private let batch = 3
    private let inputs = 2
    private let hidden = 2

    private struct Operands {
        var x, w, r: Tensor
        var b, lengths, h, c, p: Tensor?
    }

    private func operands(_ c: Case) -> Operands {
        var generator = SeededGenerator(seed: 12)
        let rows = c.gates * hidden
        let states = [c.directions, batch, hidden]
        var operands = Operands(
            x: .random([steps, batch, inputs], &generator), w: .random([c.directions, rows, inputs], &generator),
            r: .random([c.directions, rows, hidden], &generator))
        if c.hasBias { operands.b = .random([c.directions, 2 * rows], &generator) }
        if c.hasStates { operands.h = .random(states, &generator) }
        if c.hasStates, c.type == "LSTM" { operands.c = .random(states, &generator) }
        if c.peeps { operands.p = .random([c.directions, 3 * hidden], &generator) }
        operands.lengths = c.lengths.map { Tensor(elements: $0, elementType: .int32, shape: [3]) }
        return operands
    }

    /// The equations of ONNX's RNN, GRU and LSTM for one sequence in one direction.
    /// - Returns: the hidden state after each step (zero where the sequence is over), and the last states.
    private func sequence(
        _ c: Case, _ o: Operands, _ d: Int, _ n: Int
    ) -> (outputs: [[Double]], h: [Double], c: [Double]) {
        func function(_ index: Int, _ value: Double) -> Double {
            let bounded = c.clip > 0 ? min(max(value, -c.clip), c.clip) : value
            let standard = ["RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]][c.type]!
            switch (c.activations.isEmpty ? standard : c.activations)[index] {
            case "Tanh": return tanh(bounded)
            case "Sigmoid": return 1 / (1 + exp(-bounded))
            case "HardSigmoid": return min(max(0.5 * bounded + 0.5, 0), 1)
            case "Softsign": return bounded / (1 + abs(bounded))
            default: return max(bounded, 0)
            }
        }
        let rows = c.gates * hidden
        var h = (0..<hidden).map { o.h?.element([d, n, $0]) ?? 0 }
        var cell = (0..<hidden).map { o.c?.element([d, n, $0]) ?? 0 }
        var outputs = Array(repeating: [Double](repeating: 0, count: hidden), count: steps)
        let length = c.lengths.map { Int($0[n]) } ?? steps
        let isReversed = c.direction == "reverse" || d == 1
        for t in isReversed ? Array((0..<length).reversed()) : Array(0..<length) {
            func share(_ row: Int) -> Double {
                let bias = o.b?.element([d, row]) ?? 0
                return bias + sum(0..<inputs) { o.x.element([t, n, $0]) * o.w.element([d, row, $0]) }
            }
            func recurrent(_ row: Int, _ state: [Double]) -> Double {
                let bias = o.b?.element([d, rows + row]) ?? 0
                return bias + sum(0..<hidden) { state[$0] * o.r.element([d, row, $0]) }
            }
            let before = h
            func gate(_ index: Int, _ unit: Int) -> Double {
                share(index * hidden + unit) + recurrent(index * hidden + unit, before)
            }
            func peep(_ index: Int, _ unit: Int, _ cell: [Double]) -> Double {
                (o.p?.element([d, index * hidden + unit]) ?? 0) * cell[unit]
            }
            let units = 0..<hidden
            switch c.type {
            case "RNN": h = units.map { function(0, gate(0, $0)) }
            case "GRU":
                let z: [Double] = units.map { function(0, gate(0, $0)) }
                let r: [Double] = units.map { function(0, gate(1, $0)) }
                let reset: [Double] = units.map { r[$0] * before[$0] }
                h = units.map { (unit: Int) -> Double in
                    let row = 2 * hidden + unit
                    let past = c.isLinearBeforeReset ? r[unit] * recurrent(row, before) : recurrent(row, reset)
                    return (1 - z[unit]) * function(1, share(row) + past) + z[unit] * before[unit]
                }
            default:
                let last = cell
                let i: [Double] = units.map { function(0, gate(0, $0) + peep(0, $0, last)) }
                let f: [Double] = units.map { c.couples ? 1 - i[$0] : function(0, gate(2, $0) + peep(2, $0, last)) }
                let next: [Double] = units.map { f[$0] * last[$0] + i[$0] * function(1, gate(3, $0)) }
                h = units.map { function(0, gate(1, $0) + peep(1, $0, next)) * function(2, next[$0]) }
                cell = next
            }
            outputs[t] = h
        }
        return (outputs, h, cell)
    }

    /// Swaps the axes as layout 1 has them.
    private func arranged(_ tensor: Tensor?, _ c: Case, _ order: [Int]) -> Tensor? {
        guard let tensor, c.layout == 1 else { return tensor }
        let extents = order.map { tensor.shape.dimensions[$0] }
        return Tensor(
            places(extents).map { place in
                var source = place
                for (axis, from) in order.enumerated() { source[from] = place[axis] }
                return tensor.element(source)
            }, extents)
    }

    static let cases = [
        Case(type: "LSTM"), Case(type: "LSTM", direction: "reverse", hasBias: false, hasStates: false),
        Case(type: "LSTM", direction: "bidirectional", layout: 1),
        Case(type: "LSTM", direction: "bidirectional", lengths: [4, 1, 2], peeps: true),
        Case(type: "LSTM", layout: 1, couples: true, clip: 0.3, peeps: true),
        Case(type: "LSTM", activations: ["HardSigmoid", "Softsign", "Relu"]),
        Case(type: "GRU", isLinearBeforeReset: true), Case(type: "GRU", hasBias: false),
        Case(type: "GRU", direction: "bidirectional", layout: 1, isLinearBeforeReset: true),
        Case(type: "GRU", direction: "reverse", isLinearBeforeReset: true, lengths: [0, 4, 3]),
        Case(type: "GRU", direction: "bidirectional", clip: 0.2, activations: ["HardSigmoid", "Softsign"]),
        Case(type: "RNN"), Case(type: "RNN", direction: "bidirectional", layout: 1, lengths: [2, 3, 4]),
        Case(type: "RNN", clip: 0.5, activations: ["Relu"]),
    ]

    @Test(arguments: cases) func layersFollowTheirEquations(c: Case) throws {
        let o = operands(c)
        var attributes = c.attributes
        // Both directions use up one list of constants.
        if !c.activations.isEmpty { attributes["activation_alpha"] = .floats([0.5, 0.5]) }
        let application = Application(type: c.type, attributes: attributes, outputs: c.type == "LSTM" ? 3 : 2)
        let x = arranged(o.x, c, [1, 0, 2])
        let (h, cell) = (arranged(o.h, c, [1, 0, 2]), arranged(o.c, c, [1, 0, 2]))
        let found = try application.run(x, o.w, o.r, o.b, o.lengths, h, cell, o.p)

        let results = places([c.directions, batch]).map { sequence(c, o, $0[0], $0[1]) }
        let extents = [steps, c.directions, batch, hidden]
        let values: [Double] = places(extents).map { results[$0[1] * batch + $0[2]].outputs[$0[0]][$0[3]] }
        let all = Tensor(values, extents)
        let states = [c.directions, batch, hidden]
        var expected = [
            arranged(all, c, [2, 0, 1, 3]), arranged(Tensor(results.flatMap(\.h), states), c, [1, 0, 2]),
        ]
        if c.type == "LSTM" { expected.append(arranged(Tensor(results.flatMap(\.c), states), c, [1, 0, 2])) }
        for (found, expected) in zip(found, expected) { #expect(try found.distance(#require(expected)) < 1e-7) }
        // Clipping and rectifying have kinks; elsewhere the gradient reaches every operand.
        if c.clip == 0, c.activations.isEmpty {
            #expect(try application.gradientError(x, o.w, o.r, o.b, o.lengths, h, cell, o.p) < 1e-6)
        }
    }

    @Test func halfPrecisionStaysHalf() throws {
        let half = { (count: Int, shape: Shape) in
            Tensor(elements: [Float16](repeating: 0.5, count: count), elementType: .float16, shape: shape)
        }
        let found = try Application(type: "GRU", outputs: 2).run(
            half(2, [1, 1, 2]), half(6, [1, 3, 2]), half(3, [1, 3, 1]))
        // All gates see 0.5: z = 1/(1+e^-0.5), h~ = tanh(0.5), h = (1 − z)·h~.
        let expected: Double = (1 - 1 / (1 + exp(-0.5))) * tanh(0.5)
        #expect(found[1].elements(as: Float16.self) == [Float16(expected)])
    }

    @Test(
        arguments: [
            (["direction": .string("sideways")], "direction 'sideways'"), (["layout": .int(2)], "layout 2"),
            (["activations": .strings(["Tanh"])], "1 activations"),
            (["activations": .strings(["Tanh", "Sinh", "Tanh"])], "activation 'Sinh'"),
            (["clip": .float(-1)], "clip -1"), (["hidden_size": .int(0)], "hidden_size 0"),
            (["hidden_size": .int(3)], "W has another shape"),
            (["direction": .string("bidirectional")], "another shape"),
        ] as [([String: AttributeValue], String)])
    func whatDoesNotFitIsRefused(attributes: [String: AttributeValue], reason: String) {
        let o = operands(Case(type: "LSTM"))
        #expect(
            performing: { try Application(type: "LSTM", attributes: attributes).run(o.x, o.w, o.r, o.b) },
            throws: says("'LSTM' (node 'node')", reason))
    }
}
