import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

@Suite struct QuantizationMomentTests {
    /// conv, depthwise conv, relu, mean, gemm: what is measured differs in each.
    static func graph() throws -> Graph {
        var random = SeededGenerator(seed: 40)
        func tensor(_ extents: [Int]) throws -> Tensor { try LowRankFixtures.tensor(extents, &random) }
        return Graph(
            name: "some",
            nodes: [
                Node(
                    name: "c1", operatorType: "Conv", inputs: ["x", "w1", "b1"], outputs: ["h1"],
                    attributes: ["pads": .ints([1, 1, 1, 1]), "strides": .ints([2, 1])]),
                Node(name: "r1", operatorType: "Relu", inputs: ["h1"], outputs: ["a1"]),
                Node(
                    name: "c2", operatorType: "Conv", inputs: ["a1", "w2"], outputs: ["h2"],
                    attributes: ["group": .int(4), "auto_pad": .string("SAME_UPPER"), "dilations": .ints([1, 2])]),
                Node(name: "r2", operatorType: "Relu", inputs: ["h2"], outputs: ["a2"]),
                Node(name: "p", operatorType: "GlobalAveragePool", inputs: ["a2"], outputs: ["m"]),
                Node(name: "f", operatorType: "Flatten", inputs: ["m"], outputs: ["v"]),
                Node(
                    name: "g", operatorType: "Gemm", inputs: ["v", "w3", "b3"], outputs: ["y"],
                    attributes: ["transB": .int(1)]),
            ],
            inputs: [
                ValueInfo(
                    name: "x", elementType: .float32, dimensions: [.symbolic("n"), .fixed(3), .fixed(7), .fixed(6)])
            ],
            outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
            initializers: NamedTensors([
                ("w1", try tensor([4, 3, 3, 3])), ("b1", try tensor([4])), ("w2", try tensor([4, 1, 2, 3])),
                ("w3", try tensor([5, 4])), ("b3", try tensor([5])),
            ]))
    }

    static func inputs(_ samples: Int, seed: UInt64) throws -> Tensor {
        var random = SeededGenerator(seed: seed)
        return try LowRankFixtures.tensor([samples, 3, 7, 6], &random)
    }

    @Test func layersAreMatrices() throws {
        let found = try Self.graph().quantizableLayers()
        #expect(found.allSatisfy(\.isMeasurable) && found.map(\.name) == ["w1", "w2", "w3"])
        #expect(found.map(\.groups) == [1, 4, 1] && found.map(\.rows) == [4, 1, 5])
        #expect(found.map(\.columns) == [27, 6, 4])
    }

    /// What reads a weight otherwise than by multiplying, or scaled, is none of the layer's nodes.
    @Test func refusedReadersAreNoUses() throws {
        var graph = try Self.graph()
        graph.nodes.append(
            Node(
                name: "scaled", operatorType: "Gemm", inputs: ["v", "w3", "b3"], outputs: ["z"],
                attributes: ["transB": .int(1), "alpha": .float(2)]))
        graph.nodes.append(
            Node(name: "constant", operatorType: "Conv", inputs: ["still", "w1"], outputs: ["k"]))
        graph.initializers["still"] = Tensor(zeros: [1, 3, 4, 4])
        let found = graph.quantizableLayers()
        #expect(found.map(\.name) == ["w1", "w2", "w3"] && found.allSatisfy(\.isMeasurable))
        #expect(found.map(\.nodes) == [[0], [2], [6]] && found.map(\.inputs) == [["x"], ["a1"], ["v"]])
    }

    /// Volumes, and convolutions of one weight that look at their inputs in unlike ways.
    @Test func whatCannotBeMeasuredIsALayerAllTheSame() throws {
        var graph = try Self.graph()
        graph.nodes.append(
            Node(
                name: "again", operatorType: "Conv", inputs: ["x", "w1"], outputs: ["u"],
                attributes: ["dilations": .ints([2, 2])]))
        graph.inputs.append(ValueInfo(name: "volume", elementType: .float32, dimensions: nil))
        graph.nodes.append(Node(name: "c3", operatorType: "Conv", inputs: ["volume", "w4"], outputs: ["v3"]))
        graph.initializers["w4"] = Tensor(zeros: [2, 3, 2, 2, 2])
        let found = graph.quantizableLayers()
        #expect(
            found.map(\.name) == ["w1", "w2", "w3", "w4"] && found.map(\.isMeasurable) == [false, true, true, false])
        #expect(found[3].rows == 2 && found[3].columns == 24 && found[0].weights == 108)
        let layout = QuantizationMomentLayout(graph)
        #expect(layout.layers.map(\.name) == ["w2", "w3"] && layout.leftOut == ["w1", "w4"])
    }

    /// A layer's outputs have the variance w H w and the mean w E[x] + b: so H and E[x] are of what it multiplies.
    @Test func momentsSayWhatLayersCompute() throws {
        let graph = try Self.graph()
        let layout = QuantizationMomentLayout(graph)
        #expect(layout.leftOut.isEmpty && layout.layers.count == 3)
        let moments = try QuantizationMoments(deployed: graph, layout: layout)
        let x = try Self.inputs(5, seed: 1)
        try moments.add(x)
        let outputs = ["h1", "h2", "y"]
        let values = try Executable(graph).run(NamedTensors([("x", x)]), outputs: outputs)
        for (index, layer) in layout.layers.enumerated() {
            let found = try moments.inputMoments()[index]
            let tensor = try values.require(outputs[index])
            let weights = try graph.initializers.require(layer.name).floats
            let bias = try layer.nodes.first.flatMap { graph.nodes[$0].inputs.dropFirst(2).first }.map {
                try graph.initializers.require($0).floats
            }
            let channels = tensor.shape[1]
            let pixels = tensor.elementCount / tensor.shape[0] / channels
            for output in 0..<channels {
                let own = (0..<tensor.shape[0]).flatMap { sample in
                    (0..<pixels).map { Double(tensor.floats[(sample * channels + output) * pixels + $0]) }
                }
                let mean = own.reduce(0, +) / Double(own.count)
                let variance = own.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(own.count)
                let (group, row) = (output / layer.rows, output % layer.rows)
                let w = (0..<layer.columns).map { Double(weights[layer.element(group, row, $0)]) }
                let predicted = zip(w, found.mean(group: group)).reduce(Double(bias?[output] ?? 0)) { $0 + $1.0 * $1.1 }
                let matrix = found.matrix(group: group, isCentred: true)
                var spread = 0.0
                for i in w.indices { for j in w.indices { spread += w[i] * matrix[i, j] * w[j] } }
                #expect(abs(predicted - mean) < 1e-4 * (1 + abs(mean)), "\(layer.name) \(output)")
                #expect(abs(spread - variance) < 1e-3 * (variance + 1e-3), "\(layer.name) \(output)")
            }
            let importance = found.importance(of: layer, shape: try graph.initializers.require(layer.name).shape)
            #expect(importance.floats[layer.element(0, 0, 1)] == found.meanSquare(group: 0)[1])
        }
    }

    /// Two workers' halves fold to the moments of the whole, through their bytes; other bytes are refused.
    @Test func setsTravelAndFold() throws {
        let graph = try Self.graph()
        let layout = QuantizationMomentLayout(graph)
        let all = try Self.inputs(6, seed: 2)
        func set(_ samples: Range<Int>) throws -> MomentSet {
            let moments = try QuantizationMoments(deployed: graph, layout: layout)
            let values = Array(all.floats[samples.lowerBound * 126..<samples.upperBound * 126])
            try moments.add(Tensor(values, shape: [samples.count, 3, 7, 6]))
            return try moments.set()
        }
        var fold = MomentFold(layout.moments)
        for part in [0..<2, 2..<6] {
            let bytes = try set(part).serialized()
            #expect(bytes.count == MomentSet.byteCount(of: layout.moments))
            fold.add(try MomentSet(parsing: bytes, expecting: layout.moments), weight: UInt32(part.count))
        }
        var whole = MomentFold(layout.moments)
        whole.add(try set(0..<6), weight: 6)
        for (a, b) in zip(layout.inputMoments(fold), layout.inputMoments(whole)) {
            for group in 0..<a.groups {
                let (first, second) = (
                    a.matrix(group: group, isCentred: true), b.matrix(group: group, isCentred: true)
                )
                let scale = (0..<a.columns).reduce(1e-6) { max($0, second[$1, $1]) }
                for (x, y) in zip(first.values, second.values) { #expect(abs(x - y) < 1e-4 * scale) }
            }
        }
        let bytes = try set(0..<2).serialized()
        for length in stride(from: 0, to: bytes.count, by: 61) {
            #expect(throws: CompressionError.self) {
                try MomentSet(parsing: Array(bytes[..<length]), expecting: layout.moments)
            }
        }
        var broken = bytes
        broken.replaceSubrange(bytes.count - 4..<bytes.count, with: [0, 0, 0xc0, 0x7f])
        #expect(throws: CompressionError.self) { try MomentSet(parsing: broken, expecting: layout.moments) }
    }

    @Test func limitsLeaveLayersOutByName() throws {
        let graph = LowRankFixtures.graph("MatMul", x: [2, 4096], weight: Tensor(zeros: [4096, 3]))
        let layout = QuantizationMomentLayout(graph)
        #expect(layout.layers.isEmpty && layout.leftOut == ["w"])
        let fits = LowRankFixtures.graph("MatMul", x: [2, 4095], weight: Tensor(zeros: [4095, 3]))
        #expect(QuantizationMomentLayout(fits).layers.map(\.name) == ["w"])
        #expect(QuantizationMomentLayout(fits, weights: []).layers.isEmpty)
    }

    @Test func numbersThatAreNoneAreNamed() throws {
        let graph = try Self.graph()
        let moments = try QuantizationMoments(graph)
        #expect(throws: CompressionError.self) { _ = try moments.set() }
        #expect(throws: CompressionError.activationsNotFinite(tensor: "x")) {
            try moments.add(Tensor([Float](repeating: .nan, count: 126), shape: [1, 3, 7, 6]))
        }
    }
}
