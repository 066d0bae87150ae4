import Compression
import Federation
import Foundation
import ModelGraph
import Shell
import UpdateCodec

/// Goes through a plan's rounds as one of its workers would live them: what it fetches, computes and sends in each.
///
/// Invariant: what has been published and not yet fetched is owed (`owed`), so each byte is counted in the round that fetches it.
struct RoundWalk {
    private let plan: Plan
    private let stageModels: [ModelOutline]
    private let publicSamples: Int?
    private let classes: Int
    /// Of the model that the run begins with: what plain averaging, which prunes nothing, would send.
    private let parametersAveraged: Int
    private(set) var stages: [RunForecast.Stage] = []
    private(set) var bytesFloat32 = 0
    private(set) var remarks: [String] = []
    /// Of teachers that are files.
    private(set) var teacherBytes = 0
    /// The model as it is now.
    private var model: ModelOutline
    private var owed: Int
    private var knowsAccuracy = false
    private var teachersHeld: Set<String> = []
    private var compactBytes: Int?
    /// Of snapshots that stand at the end of a stage, and all deltas: what a coordinator keeps.
    private var storedDeltas = 0
    private var largestSnapshot: Int
    private var largestUpload = 0
    /// Sizes of updates by what they depend on: the codec is asked once for each model.
    private var sizes: [SizeKey: Int] = [:]

    private struct SizeKey: Hashable {
        var parts: [ExpectedSize.Part]
        var scheme: WireScheme
    }

    /// Of the control messages of one task, each way: Ready, Task, Submission, Verdict.
    private static let messagesUp = 100
    private static let messagesDown = 400
    /// A histogram of values that fill a few hundred of the 4,096 bins.
    private static let histogramBytes = 3_000

    init(plan: Plan, examined: ExaminedModel, publicSamples: Int?) throws {
        (self.plan, self.publicSamples) = (plan, publicSamples)
        stageModels = examined.stages.map(\.model)
        classes = try examined.graph.outputExtent() ?? 1
        model = ModelOutline(examined.graph)
        parametersAveraged = model.size.parameters
        let whole = Self.snapshotBytes(model) + Self.skeletonBytes(examined.graph)
        largestSnapshot = whole
        owed = examined.recipe == nil ? whole : 0
    }

    // MARK: Sizes

    private static func snapshotBytes(_ model: ModelOutline) -> Int {
        // Values, masks, and a line for each tensor.
        let masks = model.parts.reduce(0) { $0 + ($1.alive < $1.elements ? ($1.elements + 7) / 8 : 0) }
        return 4 * model.elements + masks + 100 * model.parts.count + 200
    }

    private static func skeletonBytes(_ graph: Graph) -> Int { PackedBlob.pack(graph.serializedSkeleton()).count }

    private mutating func size(_ parts: [ExpectedSize.Part], _ scheme: WireScheme) throws -> Int {
        let key = SizeKey(parts: parts, scheme: scheme)
        if let known = sizes[key] { return known }
        let bytes = try ExpectedSize.bytes(of: parts, scheme: scheme)
        sizes[key] = bytes
        return bytes
    }

    /// What one worker sends of a training round: the mean over the widths that the fleet trains.
    private mutating func updateBytes() throws -> Int {
        guard plan.fleet.hasWidths else { return try size(model.parts, plan.wire.up) }
        let workers = max(1, plan.fleet.workers)
        var sum = 0
        for index in 0..<workers {
            let width = plan.fleet.width(ofStrength: plan.fleet.strength(ofWorker: index))
            // Of most weights both axes are narrower; statistics of narrower models do not travel.
            let parts = model.parts.compactMap { part -> ExpectedSize.Part? in
                guard width < 1 else { return part }
                guard !part.isExact else { return nil }
                let share = part.elements > plan.wire.up.smallTensorElements ? width * width : width
                return ExpectedSize.Part(
                    elements: Int(Double(part.elements) * share), alive: Int(Double(part.alive) * share))
            }
            sum += try size(parts, plan.wire.up)
        }
        return sum / workers
    }

    /// What a published snapshot costs those who hold the one before.
    private mutating func deltaBytes() throws -> Int {
        let whole = Self.snapshotBytes(model)
        let scheme = plan.wire.down
        if scheme.selection == .dense, scheme.values == .float32, scheme.budget == nil { return whole }
        return min(whole, try size(model.parts, scheme))
    }

    // MARK: Rounds

    mutating func go(through stage: StagePlan, _ rehearsed: RehearsedStage) throws {
        stages.append(RunForecast.Stage(kind: stage.kind))
        var machine = stage.makeStage(
            sparsity: model.deadShare, size: model.size, accuracy: knowsAccuracy ? 1 : nil)
        var decisions = rehearsed.decisions[...]
        while let step = machine.next() {
            machine.stepFinished(try take(step, of: stage, rehearsed, &decisions))
        }
        // What a stage makes of the model beyond its decisions.
        model = rehearsed.model
        let end = stages.count - 1
        (stages[end].parameters, stages[end].macs) = (model.size.parameters, model.size.macs)
        stages[end].deadShare = model.deadShare
        largestSnapshot = max(largestSnapshot, Self.snapshotBytes(model))
    }

    private mutating func take(
        _ step: Step, of stage: StagePlan, _ rehearsed: RehearsedStage, _ decisions: inout ArraySlice<RehearsedDecision>
    ) throws -> StepOutcome {
        switch step {
        case .train(let recipe, let teacher, _): try train(recipe, teacher)
        case .score(let request, let decision):
            let next = decisions.first
            let scores = try size(next?.scores ?? model.parts.filter { !$0.isExact }, decision.scoreScheme)
            add("score", up: scores, work: passes(over: request.samples, 3))
            return try decide(&decisions)
        case .decideMask: return try decide(&decisions)
        case .moments(let samples, _):
            add("moments", up: rehearsed.measured.momentBytes, work: passes(over: samples, 2))
            becomes(rehearsed)
        case .factorize, .simulate: becomes(rehearsed)
        case .calibrate(let samples, _):
            add("calibrate", up: rehearsed.measured.points * Self.histogramBytes, work: passes(over: samples, 1))
        case .inputMoments(let samples, _):
            add("moments", up: rehearsed.measured.momentBytes, work: passes(over: samples, 2))
        case .sensitivity(let request):
            let runs = rehearsed.measured.layers * request.bits.count
            add("sensitivity", up: 4 * runs + 300, work: passes(over: request.samples, Double(1 + runs)))
        case .compare(let samples, _, _):
            add("compare", up: 100 * rehearsed.measured.layers + 50, work: passes(over: samples, 2))
        case .evaluate(let samples):
            var work = RunForecast.Work(eachTestSample: macs)
            if let samples { work = RunForecast.Work(fixed: macs * Double(samples)) }
            add("evaluate", up: 0, work: work)
            knowsAccuracy = true
            return StepOutcome(accuracy: 1)
        case .logits(let request): try logits(request)
        case .quantize:
            compactBytes = rehearsed.measured.fileBytes
            owed += rehearsed.measured.fileBytes
            stages[stages.count - 1].fileBytes = rehearsed.measured.fileBytes
            return quantized(rehearsed)
        // Early weights are fetched again by who has dropped them.
        case .rewind: owed += Self.snapshotBytes(model)
        case .nest: break
        }
        return StepOutcome()
    }

    private var macs: Double { Double(model.size.macs ?? 0) }

    /// - Parameter factor: multiply-accumulates for one of a forward pass; 3 with the backward pass.
    private func passes(over samples: Int, _ factor: Double) -> RunForecast.Work {
        RunForecast.Work(fixed: macs * Double(samples) * factor)
    }

    private mutating func add(_ task: String, up: Int, work: RunForecast.Work) {
        let stage = stages.count - 1
        let place =
            stages[stage].rounds.firstIndex { $0.task == task }
            ?? {
                stages[stage].rounds.append(RunForecast.Rounds(task: task))
                return stages[stage].rounds.count - 1
            }()
        stages[stage].rounds[place].count += 1
        stages[stage].rounds[place].bytesUp += up + Self.messagesUp
        stages[stage].rounds[place].bytesDown += owed + Self.messagesDown
        stages[stage].rounds[place].work = stages[stage].rounds[place].work + work
        owed = 0
        largestUpload = max(largestUpload, up)
    }

    private mutating func train(_ recipe: TrainingRecipe, _ teacher: TeacherPlan?) throws {
        var work = RunForecast.Work(eachTrainingSample: 3 * macs * recipe.epochs)
        for member in teacher?.members ?? [] {
            switch member.source {
            case .stage(let stage):
                work.eachTrainingSample += Double(stageModels[stage].size.macs ?? 0) * recipe.epochs
            case .file(let path):
                let file = try Graph.load(path: path)
                work.eachTrainingSample += Double((try? file.multiplyAccumulates()) ?? 0) * recipe.epochs
                guard teachersHeld.insert(path).inserted else { continue }
                let bytes = file.serializedByteCount
                teacherBytes += bytes
                owed += bytes
            case .own: remark("What workers' own teachers compute is not counted.")
            }
        }
        if recipe.ensemble != nil, let publicSamples {
            work.fixed += 3 * macs * Double(publicSamples) * (recipe.ensemble?.rules.epochs ?? 1)
        }
        add("train", up: try updateBytes(), work: work)
        bytesFloat32 += 2 * 4 * parametersAveraged
        let delta = try deltaBytes()
        owed += delta
        storedDeltas += delta
    }

    /// What a mask or structure change makes of the model, told to workers with the next task.
    private mutating func decide(_ decisions: inout ArraySlice<RehearsedDecision>) throws -> StepOutcome {
        guard let decision = decisions.popFirst() else {
            remark(
                "Of stages with many steps, or with a budget of milliseconds, all rounds are counted at the size of their end."
            )
            return StepOutcome()
        }
        let bytes = decision.changeBytes ?? ExpectedSize.bytes(ofMasksFrom: model.parts, to: decision.model.parts)
        owed += bytes
        storedDeltas += bytes
        model = decision.model
        return decision.outcome
    }

    /// Layers became others: the model is fetched whole.
    private mutating func becomes(_ rehearsed: RehearsedStage) {
        model = rehearsed.model
        owed = Self.snapshotBytes(model) + Self.skeletonBytes(rehearsed.end)
    }

    private mutating func logits(_ request: LogitsRequest) throws {
        guard let publicSamples else {
            remark("What ensembles say of their public set is not counted: its size is not known here.")
            return add("logits", up: 0, work: RunForecast.Work(eachTestSample: macs))
        }
        let count = publicSamples * classes
        let part = ExpectedSize.Part(elements: max(1, count))
        var scheme = plan.wire.up
        (scheme.selection, scheme.budget, scheme.values, scheme.smallTensorElements) = (.dense, nil, .int8, 0)
        add(
            "logits", up: try size([part], scheme),
            work: RunForecast.Work(eachTestSample: macs, fixed: macs * Double(publicSamples)))
        // The consensus, in half precision.
        owed += 2 * count
    }

    private func quantized(_ rehearsed: RehearsedStage) -> StepOutcome {
        var outcome = StepOutcome()
        // Something that stands for the explanation, which a comparison goes into.
        let name = Digest(bytes: [UInt8](repeating: 0, count: 32)).map { BlobReference(digest: $0, byteCount: 1) }
        outcome.quantization = QuantizationFacts(
            target: plan.export.target.rawValue, layers: rehearsed.measured.layers, explanation: name)
        return outcome
    }

    private mutating func remark(_ text: String) { if !remarks.contains(text) { remarks.append(text) } }

    // MARK: Disk

    /// Snapshots before and after, its residual and a server's moments, those at stages' ends that teachers are made of; all
    /// deltas; a round's uploads; the result; logs.
    func coordinatorDisk(_ plan: Plan) -> Int {
        let kept = 5 + Set(plan.stages.flatMap { $0.teacher?.stages ?? [] }).count
        return kept * largestSnapshot + storedDeltas + teacherBytes + (plan.fleet.workers + plan.fleet.overSelect)
            * largestUpload
            + 2 * (compactBytes ?? largestSnapshot) + (16 << 20)
    }

    /// Snapshots, residual and result, teachers.
    var workerDisk: Int { 6 * largestSnapshot + teacherBytes + 2 * largestUpload + (16 << 20) }
}
