import Compression
import Engine
import Federation
import Ledger
import ModelGraph
import Tensors
import UpdateCodec

/// Whom a student learns from, with what it has said of samples so far.
struct Teacher {
    let ensemble: TeacherEnsemble
    /// Of the only one, where values inside are asked for.
    let network: TeacherNetwork?
    /// What it says of samples as they are.
    let cache: TeacherCache
}

/// A task's teacher and what is learned from it.
struct Teaching {
    let reference: TeacherReference
    let teacher: Teacher
    let features: FeatureMatching?
}

/// The ONNX file of a teacher that never leaves this machine.
struct OwnTeacher: Sendable {
    let path: String

    /// - Throws: `ModelError` with the path; `EngineError` for operators that the engine does not run.
    func load() throws -> Graph {
        let graph = try Graph.load(path: path)
        try graph.validateOperators(supported: SupportedOperators.table)
        return graph
    }

    /// - Throws: as `load`, and `WorkerError.model` where its classes cannot be told.
    func classes() throws -> Int {
        guard let classes = try load().outputExtent(), classes > 0 else {
            throw WorkerError.model(
                "the teacher \(path) does not say how many classes it tells apart: give one that does")
        }
        return classes
    }
}

extension TaskRunner {
    /// - Parameter residual: the file that may hold projectors from the last round that counted.
    func teaching(
        _ reference: TeacherReference, _ model: LoadedModel, seed: UInt64, residual: Digest?
    ) throws -> Teaching {
        let teacher = try teacher(reference)
        guard !reference.features.isEmpty, let member = reference.members.first else {
            return Teaching(reference: reference, teacher: teacher, features: nil)
        }
        let graph = try self.graph(of: member)
        let matching = try FeatureMatching(
            reference.features.signals(student: model.graph, teacher: graph), student: model.graph, teacher: graph,
            seed: seed)
        return Teaching(
            reference: reference, teacher: teacher,
            features: try matching.adopting(keptProjectors(matching.projectors.names, in: residual)))
    }

    private func keptProjectors(_ names: [String], in residual: Digest?) throws -> NamedTensors {
        var kept = NamedTensors()
        guard !names.isEmpty, let residual else { return kept }
        let file = try SafetensorsFile(blobs.map(residual), path: "residual \(residual)")
        for name in names where file.shape(of: name) != nil { kept[name] = try file.tensor(name) }
        return kept
    }

    /// Made anew only when the task names other teachers than the one before.
    private func teacher(_ reference: TeacherReference) throws -> Teacher {
        let key = reference.members.map { "\(identity(of: $0.source)) \($0.weight) \($0.resize.map { "\($0)" } ?? "")" }
        if let known = knownTeacher, known.key == key { return known.teacher }
        // So that both are not in memory together.
        knownTeacher = nil
        let networks = try reference.members.map { (network: try network(of: $0), weight: $0.weight) }
        let ensemble = try TeacherEnsemble(networks)
        let teacher = Teacher(
            ensemble: ensemble, network: networks.count == 1 ? networks[0].network : nil,
            cache: TeacherCache(teachers: ensemble, dataset: data.training))
        knownTeacher = (key, teacher)
        return teacher
    }

    private func identity(of source: TeacherReference.Source) -> String {
        switch source {
        case .snapshot(let reference): reference.snapshot.digest.hex
        case .model(let blob): blob.digest.hex
        case .own: "own"
        }
    }

    private func network(of member: TeacherReference.Member) throws -> TeacherNetwork {
        let graph = try self.graph(of: member)
        return TeacherNetwork(
            try Executable(graph),
            resizing: try .between(
                samples: data.training.sampleShape.dimensions, model: graph,
                method: member.resize.map(InputResizing.Method.init)))
    }

    private func graph(of member: TeacherReference.Member) throws -> Graph {
        switch member.source {
        case .snapshot(let reference): return try shelf.open(reference).graph
        case .model(let blob):
            // A teacher carries its values: whatever it leaves out is not for us to make.
            return try Graph.load(blobs.get(blob.digest), path: "teacher \(blob.digest)", skeletonByteLimit: 0)
        case .own:
            guard let ownTeacher else {
                throw TaskFailure("the task needs a teacher of this worker's own: start it with --teacher FILE")
            }
            return try ownTeacher.load()
        }
    }
}
