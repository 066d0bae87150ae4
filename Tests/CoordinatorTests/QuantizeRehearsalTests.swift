import Federation
import ModelGraph
import Testing

@testable import Coordinator

/// What a quantize stage cannot do is refused before the first round.
struct QuantizeRehearsalTests {
    private static func resnet() throws -> Graph {
        try ModelBuilder.build(architecture: "resnet20", inputShape: [3, 16, 16], classes: 4, width: 8, seed: 5)
    }

    /// Each QuantizeLinear saves a tenth of a millisecond of ten.
    private static func time(_ models: [() throws -> Graph]) throws(LatencyError) -> [Double] {
        models.map { make in
            let nodes = (try? make().nodes) ?? []
            return 10 - 0.1 * Double(nodes.count { $0.operatorType == "QuantizeLinear" })
        }
    }

    private static func refusal(
        _ stages: String, export: String = "{target: x86}", graph: Graph? = nil,
        time: @escaping ModelTiming = Self.time
    ) throws -> String? {
        let plan = try Plan.parse(
            "model: {architecture: resnet20}\nstages: [\(stages)]\nexport: \(export)\n", path: "plan",
            environment: [:])
        do {
            _ = try StageRehearsal.check(plan, graph: graph ?? resnet(), time: time)
            return nil
        } catch let error as CoordinatorError {
            guard case .model(let message) = error else { throw error }
            return message
        }
    }

    @Test(arguments: [
        ("{quantize: {exclude: [block1.conv1.weigt]}}", "{target: x86}", "did you mean 'block1.conv1.weight'?"),
        ("{quantize: {bytes: 1KiB}}", "{target: x86}", "the smallest"),
        ("{quantize: {exclude: [fc.weight]}}", "{target: x86, strict: true}", "export.strict"),
        ("{quantize: {milliseconds: 1}}", "{target: tensorrt}", "ONNX Runtime"),
        ("{quantize: {milliseconds: 0.001}}", "{target: x86}", "ms a sample"),
    ])
    func whatCannotWorkIsRefused(stages: String, export: String, phrase: String) throws {
        let message = try #require(try Self.refusal(stages, export: export), "not refused")
        #expect(message.hasPrefix("stage 1 (quantize): ") && message.contains(phrase), "\(message)")
    }

    @Test(arguments: [
        ("{quantize: {}}", "{target: x86}"),
        ("{quantize: {averageBits: 4, rounding: adaround, maximumDrop: 1}}", "{target: x86}"),
        ("{quantize: {averageBits: 3, rounds: 2, reestimate: true}}", "{target: x86}"),
        ("{quantize: {}}", "{target: arm, strict: true}"), ("{quantize: {}}", "{target: x86-no-vnni}"),
        ("{quantize: {}}", "{target: int4}"), ("{quantize: {}}", "{target: dynamic}"),
        ("{quantize: {levels: kmeans}}", "{target: int8-weights}"),
        ("{prune: {granularity: channel, multiple: 4, budget: {macs: 0.6}}}, {quantize: {bits: 4}}", "{target: x86}"),
        (
            "{factorize: {budget: {macs: 0.5}, multiple: 4}}, {quantize: {exclude: [block1.conv1.weight]}}",
            "{target: x86}"
        ),
    ])
    func whatWorksPasses(stages: String, export: String) throws {
        #expect(try Self.refusal(stages, export: export) == nil)
    }

    @Test func whereNothingCanBeMeasuredTheReasonIsTold() throws {
        let message = try Self.refusal("{quantize: {milliseconds: 2}}") { _ throws(LatencyError) in
            throw .notMeasured(reason: "no Python with onnxruntime found; set PLEACH_PYTHON")
        }
        #expect(message?.contains("set PLEACH_PYTHON") == true && message?.contains("'averageBits'") == true)
    }

    /// What is trained is the graph with its rounding simulated, and that is what teachers are checked against.
    @Test func theStageEndsWithTheGraphThatIsTrained() throws {
        let plan = try Plan.parse(
            "model: {architecture: resnet20}\nstages: [{quantize: {rounds: 1}}]", path: "plan", environment: [:])
        let ends = try StageRehearsal.check(plan, graph: Self.resnet(), time: Self.time)
        #expect(ends.last?.simulatesQuantization == true)
    }

    @Test func modelsWithSeveralInputsAreRefusedWithAMend() throws {
        var graph = try Self.resnet()
        graph.inputs.append(ValueInfo(name: "mask", elementType: .float32, dimensions: [.symbolic("batch")]))
        let message = try #require(try Self.refusal("{quantize: {}}", graph: graph))
        #expect(message.contains("one input") && message.contains("int8-weights"), "\(message)")
    }
}
