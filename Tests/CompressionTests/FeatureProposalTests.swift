import Engine
import ModelGraph
import Tensors
import Testing

@testable import Compression

@Suite struct FeatureProposalTests {
    private func build(_ architecture: String, width: Int, input: [Int]? = nil, depth: Int = 2) throws -> Graph {
        try ModelBuilder.build(
            architecture: architecture, inputShape: input, classes: 4, width: width,
            transformer: TransformerOptions(depth: depth, heads: 2), seed: 3)
    }

    @Test func stagesOfOneSizeArePaired() throws {
        let (student, teacher) = (try build("resnet20", width: 4), try build("resnet18", width: 8))
        let pairs = try FeatureProposal(student: student, teacher: teacher).hiddenStates
        #expect(pairs.map(\.student) == [3, 6, 9].map { "block\($0).relu2.output" })
        // The teacher's fourth stage has no like.
        #expect(pairs.map(\.teacher) == [2, 4, 6].map { "block\($0).relu2.output" })
        let back = try FeatureProposal(student: teacher, teacher: student).hiddenStates
        #expect(back == pairs.map { FeaturePair(student: $0.teacher, teacher: $0.student) })
    }

    @Test func layersArePairedEvenly() throws {
        let proposal = try FeatureProposal(
            student: build("transformer", width: 8, input: [5, 9], depth: 2),
            teacher: build("transformer", width: 16, input: [5, 9], depth: 4))
        #expect(
            proposal.hiddenStates == [
                FeaturePair(student: "block1.feedForward.add.output", teacher: "block2.feedForward.add.output"),
                FeaturePair(student: "norm.output", teacher: "norm.output"),
            ])
        #expect(
            proposal.attentionMatrices
                == [(1, 2), (2, 4)].map {
                    FeaturePair(
                        student: "block\($0).attention.softmax.output", teacher: "block\($1).attention.softmax.output")
                })
        let evenly = FeatureProposal.evenly(["a", "b", "c"], (1...7).map(String.init))
        #expect(evenly.map(\.teacher) == ["2", "4", "7"])
        #expect(FeatureProposal.evenly([], ["a"]).isEmpty)
    }

    @Test func whatIsProposedCanBeTrained() throws {
        let (student, teacher) = (
            try build("resnet20", width: 2, input: [3, 8, 8]), try build("resnet20", width: 3, input: [3, 8, 8])
        )
        let proposal = try FeatureProposal(student: student, teacher: teacher)
        let signals =
            try proposal.signals(.hiddenStates, weight: 0.1) + proposal.signals(.attentionMaps, weight: 1)
        let matching = try FeatureMatching(signals, student: student, teacher: teacher, seed: 4)
        #expect(matching.projectors.ordered.map(\.tensor.shape) == [[3, 2], [6, 4], [12, 8]])
        let trainer = try Trainer(student, optimizer: OptimizerSettings(learningRate: 0.05), features: matching)
        var generator = SeededGenerator(seed: 8)
        let input = Tensor((0..<4 * 192).map { _ in generator.uniform() }, shape: [4, 3, 8, 8])
        let labels = Tensor([0, 1, 2, 3] as [Int64], shape: [4])
        let said = try Executable(teacher).logits(NamedTensors([("x", input)]), features: matching.teacherValues)
        let losses = try (0..<12).map { _ in
            try trainer.step(input, labels: labels, teacherFeatures: said.features).loss
        }
        #expect(try #require(losses.last) < losses[0])
    }

    @Test func networksWithoutAMatchAreRefusedByName() throws {
        let (images, rows) = (try build("resnet20", width: 2), try build("mlp", width: 4))
        let proposal = try FeatureProposal(student: images, teacher: rows)
        #expect(proposal.hiddenStates.isEmpty)
        #expect(throws: CompressionError.noFeaturePairs(measure: "attentionMatrices")) {
            try proposal.signals(.attentionMatrices, weight: 1)
        }
    }
}

@Suite struct TeacherEnsembleTests {
    private let input = Tensor([1, -2, 0.5, 4] as [Float], shape: [2, 2])

    /// y = factor * x.
    private func teacher(_ factor: Float, operatorType: String = "Mul") throws -> Executable {
        try Executable(
            Graph(
                name: "scale",
                nodes: [Node(name: "scale", operatorType: operatorType, inputs: ["x", "factor"], outputs: ["y"])],
                inputs: [ValueInfo(name: "x", elementType: .float32, dimensions: [.symbolic("n"), .fixed(2)])],
                outputs: [ValueInfo(name: "y", elementType: .float32, dimensions: nil)],
                initializers: NamedTensors([("factor", Tensor([factor] as [Float], shape: []))])))
    }

    @Test func logitsAreAveragedByWeight() throws {
        let ensemble = try TeacherEnsemble([(TeacherNetwork(teacher(1)), 3), (TeacherNetwork(teacher(5)), 1)])
        #expect(ensemble.weights == [0.75, 0.25])
        #expect(try ensemble.logits(NamedTensors([("x", input)])).floats == input.floats.map { 2 * $0 })
        let alone = TeacherEnsemble(try teacher(0.1))
        #expect(try alone.logits(NamedTensors([("x", input)])) == teacher(0.1).logits(input))
        let huge = try TeacherEnsemble([(TeacherNetwork(teacher(1)), 1e308), (TeacherNetwork(teacher(3)), 1e308)])
        #expect(try huge.logits(NamedTensors([("x", input)])).floats == input.floats.map { 2 * $0 })
    }

    @Test func aCacheKeepsTheAverage() throws {
        let dataset = try Dataset.load(DataSpec(parsing: "synthetic:digits?samples=20", environment: [:]))
        let teachers = try [1, 2].map { seed in
            try Executable(ModelBuilder.build(architecture: "cnn", width: 2, seed: seed))
        }
        let ensemble = try TeacherEnsemble([(TeacherNetwork(teachers[0]), 1), (TeacherNetwork(teachers[1]), 3)])
        let found = try TeacherCache(teachers: ensemble, dataset: dataset).logits(for: [17, 2]).floats
        let parts = try teachers.map { try TeacherCache(teacher: $0, dataset: dataset).logits(for: [17, 2]).floats }
        for (mean, (first, second)) in zip(found, zip(parts[0], parts[1])) {
            #expect(abs(mean - (first + 3 * second) / 4) < 1e-5)
        }
        #expect(found != parts[0])
    }

    @Test func teachersThatCannotBeAveragedAreRefused() throws {
        for weight in [0, -1, Double.nan, .infinity] {
            #expect(throws: CompressionError.self) { try TeacherEnsemble([(TeacherNetwork(teacher(1)), weight)]) }
        }
        #expect(throws: CompressionError.self) { try TeacherEnsemble([]) }
        let other = try TeacherEnsemble([
            (TeacherNetwork(teacher(1)), 1), (TeacherNetwork(teacher(1, operatorType: "Equal")), 1),
        ])
        #expect(throws: CompressionError.teachersDiffer(teacher: 2, "bool [2, 2]", "float32 [2, 2]")) {
            try other.logits(NamedTensors([("x", input)]))
        }
    }
}
