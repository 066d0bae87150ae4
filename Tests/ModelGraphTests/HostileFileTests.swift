import ModelGraph
import Tensors
import Testing

@Suite("Hostile and unsupported files")
struct HostileFileTests {
    private let relu = Wire.node("Relu", ["x"], ["y"])

    @Test("external data, sub-graphs, sparse tensors and odd types are refused by name")
    func refusedFeatures() {
        let external = Wire.field(13, Wire.field(1, "location") + Wire.field(2, "w.bin")) + Wire.field(14, 1)
        #expect(
            loadFailure(Wire.model(Wire.initializer("w", [1], 1, external) + relu))?.contains(
                "tensor 'w' is stored as external data; save the model as a single file") == true)
        let branch = Wire.field(5, Wire.field(1, "then_branch") + Wire.field(20, 5) + Wire.field(6, []))
        #expect(
            loadFailure(Wire.model(Wire.node("If", ["x"], ["y"], extra: branch)))?.contains(
                "attribute 'then_branch' of node 'If_0' is a sub-graph") == true)
        #expect(loadFailure(Wire.model(relu + Wire.field(15, [])))?.contains("sparse initializers") == true)
        for (field, kind) in [
            (UInt64(4), "a sequence"), (5, "a map"), (8, "a sparse tensor"), (9, "an optional value"),
        ] {
            let input = Wire.field(11, Wire.field(1, "s") + Wire.field(2, Wire.field(field, [])))
            #expect(loadFailure(Wire.model(relu + input))?.contains("input 's' is \(kind)") == true)
        }
        let function = Wire.field(25, Wire.field(1, "MyGelu"))
        #expect(
            loadFailure(Wire.model(relu, modelFields: function))?.contains("it defines the function 'MyGelu'") == true)
        for (type, name) in [(Int64(4), "uint16"), (12, "uint32"), (13, "uint64"), (24, "float8e8m0")] {
            #expect(
                loadFailure(Wire.model(Wire.initializer("w", [1], type, []) + relu))?.contains(
                    "tensor 'w' has the data type \(name), which is not supported") == true, "\(type)")
        }
        #expect(
            loadFailure(Wire.model(Wire.initializer("w", [1], 8, []) + relu))?.contains(
                "tensor 'w' has the data type string, which is not supported") == true)
        #expect(
            loadFailure(Wire.model(Wire.initializer("w", [1], 99, []) + relu))?.contains("unknown data type 99") == true
        )
    }

    @Test("shapes that do not match their data are refused before memory is taken")
    func impossibleTensors() {
        for dims: [Int64] in [
            [1 << 62], [-1], [1 << 31, 1 << 31, 1 << 31], [.max, .max], Array(repeating: 1, count: 17),
        ] {
            let file = Wire.model(Wire.initializer("w", dims, 1, Wire.field(9, [0, 0, 0, 0])) + relu)
            #expect(loadFailure(file)?.contains("tensor 'w' has an impossible shape") == true, "\(dims)")
        }
        let short = Wire.model(Wire.initializer("w", [1 << 30, 1 << 20], 1, Wire.field(9, [0, 0, 0, 0])) + relu)
        #expect(loadFailure(short)?.contains("but has 4") == true)
        let wide = Wire.model(Wire.initializer("w", [1], 3, Wire.field(5, Wire.varint(200))) + relu)
        #expect(loadFailure(wide)?.contains("tensor 'w' holds 200, which its type cannot") == true)
    }

    @Test("a skeleton cannot make the reader allocate without bound")
    func skeletonBomb() {
        let mark = Wire.field(14, Wire.field(1, Graph.skeletonKey) + Wire.field(2, "1"))
        let bomb = Wire.model(Wire.initializer("w", [1 << 20, 1 << 20], 1, []) + relu, modelFields: mark)
        #expect(loadFailure(bomb)?.contains("'w' needs \(1 << 42) bytes but has 0") == true)
        // Each tensor alone is within bounds (1 GiB of 2), yet they are never all filled.
        let large = (0..<3).map { Wire.initializer("w\($0)", [1 << 28], 1, []) }
        let third = loadFailure(Wire.model(large.flatMap { $0 } + relu, modelFields: mark))
        #expect(third?.contains("'w1' needs \(1 << 30) bytes but has 0") == true)
        // Without the mark, missing data is an error at any size.
        #expect(loadFailure(Wire.model(Wire.initializer("w", [4], 1, []) + relu))?.contains("but has 0") == true)
    }

    @Test("truncation at every offset of a small model gives an error or a valid graph, never a trap")
    func truncation() throws {
        let bytes = try ModelBuilder.build(architecture: "cnn", inputShape: [1, 4, 4], classes: 2, width: 1, seed: 1)
            .serialized()
        var refused = 0
        for count in bytes.indices where loadFailure(Array(bytes[..<count])) != nil { refused += 1 }
        #expect(refused > bytes.count / 2)
    }

    @Test(
        "seeded mutations never trap, through every pass",
        .enabled(if: Fixtures.areThere, "needs ../shared"),
        arguments: ["parity/cnn", "parity/resnet8", "parity/tinybert"])
    func mutations(name: String) throws {
        // Without weights the file is small, so mutations hit the structure.
        let original = try Fixtures.graph(name).skeleton().serialized()
        var generator = SeededGenerator(seed: 7, labels: name)
        var accepted = 0
        for _ in 0..<300 {
            var bytes = original
            for _ in 0..<generator.index(below: 4) + 1 { Self.mutate(&bytes, &generator) }
            guard let graph = try? Graph.load(bytes, path: name) else { continue }
            accepted += 1
            Self.exercise(graph)
        }
        #expect(accepted > 0 && accepted < 300)
    }

    private static func mutate(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
        let place = generator.index(below: bytes.count)
        switch generator.index(below: 5) {
        case 0: bytes[place] ^= 1 << UInt8(generator.index(below: 8))
        case 1: bytes[place] = UInt8(truncatingIfNeeded: generator.next())
        case 2: bytes[place] = 0xff
        case 3: bytes.removeLast(generator.index(below: min(64, bytes.count)))
        default:
            let other = generator.index(below: bytes.count)
            bytes.swapAt(place, other)
        }
    }

    /// Everything that reads a graph must survive a strange one.
    private static func exercise(_ graph: Graph) {
        _ = graph.serialized()
        _ = try? graph.summary(fileBytes: 0)
        _ = try? graph.convertingOpset(to: 13)
        let folded = graph.foldingBatchNormalization()
        let activations = Dictionary(
            uniqueKeysWithValues: folded.quantizationPoints().map {
                ($0, ActivationQuantization(scale: 1, zeroPoint: 0))
            })
        var weights: [String: QuantizedWeight] = [:]
        for (name, axis) in folded.quantizableWeights() {
            guard let tensor = folded.initializers[name] else { continue }
            weights[name] = QuantizedWeight(
                values: Tensor(zeros: tensor.shape, elementType: .int8),
                scales: [Float](repeating: 1, count: tensor.shape[axis]), axis: axis)
        }
        let written = try? folded.quantizedQDQ(activations: activations, weights: weights, opset: 17)
        _ = written?.serialized()
        for audited in [written ?? graph, graph] {
            for target in [DeploymentTarget.x86, .tensorrt] { _ = audited.fusionAudit(for: target) }
            _ = audited.unpackingWeights()
        }
        for target in [DeploymentTarget.tensorrt, .int8Weights, .dynamic, .float16] {
            _ = folded.quantizationPoints(for: target)
            _ = try? folded.quantized(for: target, opset: 17).serialized()
        }
    }
}
