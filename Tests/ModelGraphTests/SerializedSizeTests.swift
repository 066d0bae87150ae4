import ModelGraph
import Tensors
import Testing

/// What saves memory must not change a byte: counting instead of serializing, skeletons without zeros in between.
@Suite struct SerializedSizeTests {
    static let graphs: [Graph] = {
        let built = ["linear", "mlp", "cnn", "resnet8", "resnet20", "mobilenet-tiny", "tinybert"].compactMap { name in
            try? ModelBuilder.build(architecture: name, inputShape: nil, classes: nil, width: nil, seed: 3)
        }
        return built + [8 << 10, 100 << 10].compactMap { try? ModelBuilder.denseStack(parameterBytes: $0, seed: 1) }
    }()

    @Test func theCountIsThatOfTheBytes() throws {
        #expect(Self.graphs.count >= 4)
        for graph in Self.graphs { #expect(graph.serializedByteCount == graph.serialized().count, "\(graph.name)") }
    }

    @Test func aSkeletonIsWrittenAsIfItsParametersHadBeenSetToZeroFirst() throws {
        for graph in Self.graphs {
            #expect(graph.serializedSkeleton() == graph.skeleton().serialized(), "\(graph.name)")
        }
    }

    @Test func aSkeletonReadWithItsParametersIsTheGraph() throws {
        for graph in Self.graphs {
            let parameters = graph.parameterTensors()
            let bytes = graph.serializedSkeleton()
            let together = try Graph.load(skeleton: bytes, path: "x", parameters: parameters)
            let after = try Graph.load(bytes, path: "x").replacingParameters(parameters)
            #expect(together == after)
            #expect(together.serialized() == graph.serialized(), "\(graph.name)")
        }
    }

    @Test func parametersThatDoNotFitASkeletonAreRefused() throws {
        let graph = try #require(Self.graphs.first)
        let bytes = graph.serializedSkeleton()
        var parameters = graph.parameterTensors()
        let name = try #require(parameters.names.first)
        parameters[name] = Tensor(zeros: [1, 2, 3])
        #expect(throws: ModelError.self) { try Graph.load(skeleton: bytes, path: "x", parameters: parameters) }
        parameters[name] = nil
        #expect(throws: ModelError.self) { try Graph.load(skeleton: bytes, path: "x", parameters: parameters) }
        parameters = graph.parameterTensors()
        parameters["stranger"] = Tensor(zeros: [1])
        #expect(throws: ModelError.self) { try Graph.load(skeleton: bytes, path: "x", parameters: parameters) }
    }

    /// Shapes cost nothing in a file, so a stranger's could ask for all memory.
    @Test func aSkeletonOfAStrangerCannotAskForMoreThanItsLimit() throws {
        let graph = try ModelBuilder.denseStack(parameterBytes: 100 << 10, seed: 1)
        let bytes = graph.serializedSkeleton()
        #expect(throws: ModelError.self) { try Graph.load(bytes, path: "x", skeletonByteLimit: 50 << 10) }
        #expect(try Graph.load(bytes, path: "x", skeletonByteLimit: 200 << 10).isSkeleton)
    }
}
