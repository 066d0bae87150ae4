import ModelGraph
import Tensors
import Testing

@testable import Engine

/// A student that learns from values inside its teacher.
struct FeatureTrainingTests {
    private static let hidden = FeaturePair(student: "h", teacher: "h")
    private let input: Tensor
    private let student: Graph
    private let teacher: Graph
    private let labels = Tensor([0, 2, 1, 0] as [Int64], shape: [4])

    init() {
        // As many as ever: the last bits depend on it.
        EngineRuntime.setThreads(1)
        var generator = SeededGenerator(seed: 5)
        input = noise([4, 2, 6, 6], &generator)
        student = smallNetwork(
            kernel: noise([3, 2, 3, 3], &generator, bound: 0.4), dense: noise([3, 3], &generator), size: 6)
        teacher = smallNetwork(
            kernel: noise([5, 2, 3, 3], &generator, bound: 0.4), dense: noise([3, 5], &generator), size: 6)
    }

    private func matching(seed: UInt64 = 1, kept: NamedTensors = NamedTensors()) throws -> FeatureMatching {
        try FeatureMatching(
            [
                FeatureSignal(.hiddenStates, Self.hidden, weight: 1),
                FeatureSignal(.attentionMaps, Self.hidden, weight: 0.5),
            ], student: student, teacher: teacher, seed: seed, projectors: kept)
    }

    private func learn(
        _ trainer: Trainer, _ matching: FeatureMatching, steps: Int
    ) throws -> [Double] {
        let executable = try Executable(teacher)
        return try (0..<steps).map { _ in
            let said = try executable.logits(NamedTensors([("x", input)]), features: matching.teacherValues)
            return try trainer.step(
                input, labels: labels, loss: .distillation(temperature: 2, alpha: 0.5), teacherLogits: said.logits,
                teacherFeatures: said.features
            ).loss
        }
    }

    @Test func studentAndProjectorLearnTogether() throws {
        let matching = try matching()
        #expect(matching.teacherValues == ["h"])
        let name = Self.hidden.projectorName
        #expect(matching.projectors.names == [name] && matching.projectors[name]?.shape == [5, 3])
        let trainer = try Trainer(
            student, optimizer: OptimizerSettings(learningRate: 0.2, momentum: 0.9), features: matching)
        let losses = try learn(trainer, matching, steps: 40)
        #expect(try #require(losses.last) < 0.6 * losses[0])
        #expect(try trainer.projectors() != matching.projectors)
        // Projectors stay beside the student.
        #expect(try trainer.parameters().names == ["kernel", "dense"])
    }

    @Test func keptProjectorsGoOnWhereTheyWere() throws {
        let settings = OptimizerSettings(learningRate: 0.1)
        let matching = try matching()
        let whole = try Trainer(student, optimizer: settings, features: matching)
        _ = try learn(whole, matching, steps: 6)
        let first = try Trainer(student, optimizer: settings, features: matching)
        _ = try learn(first, matching, steps: 3)
        var between = student
        for (name, tensor) in try first.parameters().ordered { between.initializers[name] = tensor }
        let kept = try FeatureMatching(
            matching.signals, student: between, teacher: teacher, seed: 99, projectors: first.projectors())
        let second = try Trainer(between, optimizer: settings, features: kept)
        _ = try learn(second, kept, steps: 3)
        #expect(try second.parameters() == whole.parameters())
        #expect(try second.projectors() == whole.projectors())
        #expect(try self.matching(seed: 1).projectors == matching.projectors)
        #expect(try self.matching(seed: 2).projectors != matching.projectors)
    }

    @Test func gradientsThatAreVisitedAreTheGraphs() throws {
        let matching = try matching()
        let trainer = try Trainer(student, optimizer: OptimizerSettings(learningRate: 0.1), features: matching)
        let features = try Executable(teacher).logits(NamedTensors([("x", input)]), features: ["h"]).features
        var visited: [String] = []
        try trainer.visitGradients(Batch(input, targets: labels), teacherFeatures: features) { name, _, _ in
            visited.append(name)
        }
        #expect(visited == ["kernel", "dense"])
    }

    /// Values that a trainer would otherwise join with others can be learned from.
    @Test(arguments: [Precision.float32, .bfloat16]) func valuesBetweenJoinedNodesAreKept(precision: Precision) throws {
        let graph = try ModelBuilder.build(
            architecture: "transformer", inputShape: [6, 5], classes: 3, width: 8,
            transformer: TransformerOptions(depth: 1, heads: 2), seed: 1)
        let names = ["block1.attention.query.matmul.output", "block1.attention.softmax.output"]
        let matching = try FeatureMatching(
            [
                FeatureSignal(.hiddenStates, FeaturePair(student: names[0], teacher: names[0]), weight: 1),
                FeatureSignal(.attentionMatrices, FeaturePair(student: names[1], teacher: names[1]), weight: 1),
                FeatureSignal(.attentionDivergence, FeaturePair(student: names[1], teacher: names[1]), weight: 1),
            ], student: graph, teacher: graph, seed: 1)
        #expect(matching.projectors.isEmpty)
        let tokens = Tensor((0..<12).map { Int64($0 % 5) }, shape: [2, 6])
        let features = try Executable(graph).logits(NamedTensors([("x", tokens)]), features: names).features
        let labels = Tensor([0, 2] as [Int64], shape: [2])
        let trainer = try Trainer(
            graph, optimizer: OptimizerSettings(learningRate: 0), precision: precision, features: matching)
        let alone = try Trainer(graph, optimizer: OptimizerSettings(learningRate: 0), precision: precision)
        // A student that is its teacher has nothing to learn from it.
        let loss = try trainer.step(tokens, labels: labels, teacherFeatures: features).loss
        #expect(abs(loss - (try alone.step(tokens, labels: labels).loss)) < 1e-4)
    }

    @Test func aRefusedBatchChangesNothing() throws {
        let matching = try matching()
        let trainer = try Trainer(student, optimizer: OptimizerSettings(learningRate: 0.1), features: matching)
        func refusal(_ features: NamedTensors) -> String {
            do {
                _ = try trainer.step(input, labels: labels, teacherFeatures: features)
                return "taken"
            } catch { return "\(error)" }
        }
        #expect(refusal(NamedTensors()) == "the teacher's value 'h' was not given for this batch")
        func refusal(_ shape: Shape, _ type: ElementType = .float32) -> String {
            refusal(NamedTensors([("h", Tensor(zeros: shape, elementType: type))]))
        }
        #expect(refusal([3, 5, 6, 6]).contains("not of the same samples"))
        #expect(refusal([4, 6, 6, 6]).contains("do not fit the projector [5, 3]"))
        #expect(refusal([4, 5, 0, 6]).contains("not of the same samples"))
        #expect(refusal([4, 5]).contains("compare") && refusal([4, 5]).contains("axes"))
        #expect(refusal([4, 5, 6, 6], .int64).contains("float32"))
        #expect(try trainer.parameters().require("kernel") == student.initializers["kernel"])
        #expect(try trainer.projectors() == matching.projectors)
    }

    @Test func pairsThatCannotBeComparedAreRefusedBeforeTraining() throws {
        func refusal(
            _ measure: FeatureSignal.Measure = .hiddenStates, _ student: String = "h", _ teacher: String = "h",
            weight: Double = 1, twice: Bool = false, kept: NamedTensors = NamedTensors()
        ) -> String {
            let signal = FeatureSignal(measure, FeaturePair(student: student, teacher: teacher), weight: weight)
            do {
                _ = try FeatureMatching(
                    twice ? [signal, signal] : [signal], student: self.student, teacher: self.teacher, seed: 1,
                    projectors: kept)
                return "taken"
            } catch { return "\(error)" }
        }
        #expect(refusal() == "taken")
        #expect(refusal(.hiddenStates, "logitz") == "the student computes no value 'logitz'; did you mean 'logits'?")
        #expect(
            refusal(.hiddenStates, "h", "encoder.layer")
                == "the teacher computes no value 'encoder.layer'; it computes c, h, p, f, logits")
        #expect(refusal(.hiddenStates, "kernel").contains("no value 'kernel'"))
        #expect(
            refusal(.hiddenStates, "h", "f")
                == "the pair 'h' (student) and 'f' (teacher), [n, 3, 6, 6] and [n, 5], cannot be compared: one has 4 axes, "
                + "the other 2; the teacher's nearest value that can is 'p'")
        #expect(refusal(.attentionMaps, "f", "f").contains("compares values of shape [n, channels, height, width]"))
        #expect(refusal(.attentionMatrices, "h", "h").contains("heads differ"))
        #expect(refusal(weight: 0).contains("positive") && refusal(weight: .nan).contains("positive"))
        #expect(refusal(twice: true).contains("named twice"))
        let name = Self.hidden.projectorName
        #expect(refusal(kept: NamedTensors([(name, Tensor(zeros: [5, 4]))])).contains("needs float32 [5, 3]"))
        #expect(
            refusal(kept: NamedTensors([("projector:h:g", Tensor(zeros: [5, 3]))]))
                == "the kept 'projector:h:g' belongs to no pair; did you mean '\(name)'?")
    }

    @Test func aValueThatATeacherDoesNotComputeIsRefused() throws {
        #expect(throws: EngineError.unknownOutput("g")) {
            try Executable(teacher).logits(NamedTensors([("x", input)]), features: ["g"])
        }
    }
}
