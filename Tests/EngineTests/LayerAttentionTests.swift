import Foundation
import ModelGraph
import Tensors
import Testing

@testable import Engine

/// Attention against its definition, query by query.
struct LayerAttentionTests {
    /// softmax(cap(q·k · scale) + bias) · v for queries [n, heads, queries, size] and keys of fewer heads.
    private func attention(
        _ q: Tensor, _ k: Tensor, _ v: Tensor, scale: Double, cap: Double = 0,
        bias: ([Int], Int) -> Double = { _, _ in 0 }
    ) -> (y: Tensor, shares: Tensor) {
        let (queries, keys, values) = (q.shape.dimensions, k.shape.dimensions, v.shape.dimensions)
        let repeats = queries[1] / keys[1]
        var shares: [Double] = []
        for place in places(Array(queries.prefix(3))) {
            let scores: [Double] = (0..<keys[2]).map { key in
                let row = [place[0], place[1] / repeats, key]
                let score = scale * sum(0..<queries[3]) { q.element(place + [$0]) * k.element(row + [$0]) }
                return (cap > 0 ? cap * tanh(score / cap) : score) + bias(place, key)
            }
            let largest = scores.max() ?? 0
            let powers: [Double] = scores.map { largest == -.infinity ? 0 : exp($0 - largest) }
            let total = sum(powers) { $0 }
            shares += powers.map { total == 0 ? 0 : $0 / total }
        }
        let probabilities = Tensor(shares, Array(queries.prefix(3)) + [keys[2]])
        let extents = Array(queries.prefix(3)) + [values[3]]
        let y: [Double] = places(extents).map { place in
            let (query, head) = (Array(place.prefix(3)), place[1] / repeats)
            return sum(0..<keys[2]) { probabilities.element(query + [$0]) * v.element([place[0], head, $0, place[3]]) }
        }
        return (Tensor(y, extents), probabilities)
    }

    private func operands(queries: Int = 3, keys: Int = 5, heads: Int = 4) -> (q: Tensor, k: Tensor, v: Tensor) {
        var generator = SeededGenerator(seed: 14)
        return (
            .random([2, heads, queries, 3], &generator), .random([2, 2, keys, 3], &generator),
            .random([2, 2, keys, 2], &generator)
        )
    }

    private func application(_ attributes: [String: AttributeValue] = [:], outputs: Int = 1) -> Application {
        Application(type: "Attention", attributes: attributes, outputs: outputs, opset: 24)
    }

    @Test func groupedQueriesWithScaleAndCap() throws {
        let (q, k, v) = operands()
        let standard = attention(q, k, v, scale: 1 / 3.0.squareRoot())
        #expect(try application().run(q, k, v)[0].distance(standard.y) < 1e-12)
        let capped = attention(q, k, v, scale: 0.5, cap: 0.25)
        let attributes: [String: AttributeValue] = [
            "scale": .float(0.5), "softcap": .float(0.25), "qk_matmul_output_mode": .int(3),
        ]
        let found = try application(attributes, outputs: 4).run(q, k, v)
        #expect(found[0].distance(capped.y) < 1e-7)
        #expect(found[1] == k && found[2] == v)
        #expect(found[3].distance(capped.shares) < 1e-7)
        #expect(try application(attributes).gradientError(q, k, v) < 1e-6)
    }

    /// A query that may look nowhere gives zeros, and no NaN reaches a gradient.
    @Test func masksOfFlagsAndOfNumbers() throws {
        let (q, k, v) = operands()
        let flags = [
            true, false, true, true, true, false, false, false, false, false, false, true, false, false, false,
        ]
        let mask = Tensor(elements: flags, elementType: .bool, shape: [3, 5])
        let expected = attention(q, k, v, scale: 1 / 3.0.squareRoot()) { flags[$0[2] * 5 + $1] ? 0 : -.infinity }
        #expect(try application().run(q, k, v, mask)[0].distance(expected.y) < 1e-12)
        #expect(try application().gradientError(q, k, v, mask) < 1e-6)
        let numbers = Tensor(flags.map { $0 ? 0.5 : -0.25 }, [3, 5])
        let added = attention(q, k, v, scale: 1 / 3.0.squareRoot()) { flags[$0[2] * 5 + $1] ? 0.5 : -0.25 }
        #expect(try application().run(q, k, v, numbers)[0].distance(added.y) < 1e-12)
        #expect(try application().gradientError(q, k, v, numbers) < 1e-6)
    }

    @Test func causalQueriesComeAfterThePast() throws {
        let (q, k, v) = operands()
        var generator = SeededGenerator(seed: 15)
        let (pastK, pastV) = (Tensor.random([2, 2, 2, 3], &generator), Tensor.random([2, 2, 2, 2], &generator))
        let joined = { (past: Tensor, now: Tensor) -> Tensor in
            let extents = [2, 2, 7, now.shape.dimensions[3]]
            let values: [Double] = places(extents).map { place in
                var rest = place
                rest[2] -= 2
                return place[2] < 2 ? past.element(place) : now.element(rest)
            }
            return Tensor(values, extents)
        }
        let (allK, allV) = (joined(pastK, k), joined(pastV, v))
        let expected = attention(q, allK, allV, scale: 1 / 3.0.squareRoot()) { $1 <= $0[2] + 2 ? 0 : -.infinity }
        let found = try application(["is_causal": .int(1)], outputs: 3).run(q, k, v, nil, pastK, pastV)
        #expect(found[0].distance(expected.y) < 1e-12)
        #expect(found[1] == allK && found[2] == allV)
    }

    @Test func keysBeyondTheFilledOnesAreNotSeen() throws {
        let (q, k, v) = operands()
        let lengths = Tensor([4, 2] as [Int64], shape: [2])
        let expected = attention(q, k, v, scale: 1 / 3.0.squareRoot()) { (query: [Int], key: Int) -> Double in
            let length = query[0] == 0 ? 4 : 2
            return key < length && key <= query[2] + length - 3 ? 0 : -.infinity
        }
        let found = try application(["is_causal": .int(1)]).run(q, k, v, nil, nil, nil, lengths)[0]
        #expect(found.distance(expected.y) < 1e-12)
    }

    @Test func threeAxesAreSplitIntoHeads() throws {
        let (q, k, v) = operands()
        let flat = { (tensor: Tensor) -> Tensor in
            let from = tensor.shape.dimensions
            let extents = [from[0], from[2], from[1] * from[3]]
            let values: [Double] = places(extents).map { place in
                tensor.element([place[0], place[2] / from[3], place[1], place[2] % from[3]])
            }
            return Tensor(values, extents)
        }
        let attributes: [String: AttributeValue] = ["q_num_heads": .int(4), "kv_num_heads": .int(2)]
        let expected = flat(attention(q, k, v, scale: 1 / 3.0.squareRoot()).y)
        #expect(try application(attributes).run(flat(q), flat(k), flat(v))[0].distance(expected) < 1e-12)
        #expect(performing: { try application().run(flat(q), flat(k), flat(v)) }, throws: says("Attention", "heads"))
    }

    @Test func rotationsTurnPairs() throws {
        let x = Tensor([1.0, 2, 3, 4, 5], [1, 1, 1, 5])
        let (cosines, sines) = (Tensor([0.0, 1, 0.6, 1], [2, 2]), Tensor([1.0, 0, 0.8, 0], [2, 2]))
        let position = Tensor([1] as [Int64], shape: [1, 1])
        var application = Application(
            type: "RotaryEmbedding", attributes: ["rotary_embedding_dim": .int(4)], opset: 23)
        let halves = Tensor([0.6 - 0.8 * 3, 2, 0.8 + 0.6 * 3, 4, 5], [1, 1, 1, 5])
        #expect(try application.run(x, cosines, sines, position)[0].distance(halves) < 1e-12)
        application.attributes["interleaved"] = .int(1)
        let pairs = Tensor([0.6 - 0.8 * 2, 0.8 + 0.6 * 2, 3, 4, 5], [1, 1, 1, 5])
        #expect(try application.run(x, cosines, sines, position)[0].distance(pairs) < 1e-12)
        #expect(try application.gradientError(x, cosines, sines, position) < 1e-6)
    }

    @Test(
        arguments: [
            (["qk_matmul_output_mode": .int(4)], "qk_matmul_output_mode 4"), (["softcap": .float(-1)], "softcap"),
            (["softmax_precision": .int(6)], "softmax_precision 6"), (["q_num_heads": .int(0)], "q_num_heads 0"),
            (["left_window_size": .int(-2)], "window"),
        ] as [([String: AttributeValue], String)])
    func whatMeansNothingIsRefused(attributes: [String: AttributeValue], reason: String) {
        let (q, k, v) = operands()
        #expect(performing: { try application(attributes).run(q, k, v) }, throws: says("'Attention'", reason))
        #expect(performing: { try application().run(q, k, v, nil, k) }, throws: says("past_key"))
        let three = operands(heads: 3)
        #expect(performing: { try application().run(three.q, k, v) }, throws: says("query heads"))
    }
}
