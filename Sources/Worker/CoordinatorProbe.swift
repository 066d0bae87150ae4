import Engine
import Federation
import Transport

/// Asks a coordinator whether a worker would be welcome, as that worker: its key, its protocol, its data. No session begins by it, so
/// a worker of the same name may be at work at this moment.
public struct CoordinatorProbe: Sendable {
    /// What was proven, by how far it went.
    public enum Answer: Sendable, Equatable {
        /// It would take part in this run.
        case welcome(version: UInt32, run: String)
        case finished
        /// The key is allowed, but the hello would be refused.
        case refused(RefusalCode, reason: String)
        /// No handshake: our key, the server's, or a server that is full.
        case turnedAway(TransportError)
        /// It was let in, and is no coordinator that understands the question.
        case notUnderstood(String)
        /// Somebody listens, but neither a handshake nor an answer came in time.
        case silent(String)
    }

    private let coordinator: String
    private let keys: KeyPair
    private let serverKey: String

    public init(coordinator: String, keys: KeyPair, serverKey: String) {
        (self.coordinator, self.keys, self.serverKey) = (coordinator, keys, serverKey)
    }

    /// - Parameters:
    ///   - hello: of the worker; one without samples asks for the protocol's sake only.
    ///   - seconds: after which silence is the answer.
    /// - Throws: `TransportError` for an endpoint or keys that nothing can be tried with.
    public func ask(_ hello: Hello, seconds: Double) async throws(TransportError) -> Answer {
        let client = try Client(
            connect: coordinator, keys: keys, serverKey: serverKey,
            blobs: BlobAccess(
                open: { _ in nil },
                receive: { _, _ throws(BlobFailure) in throw .broken(reason: "this connection takes no blobs") }))
        client.send(WorkerMessage.inquiry(hello).encoded())
        let timer = Task {
            try? await Task.sleep(for: .seconds(seconds))
            client.close()
        }
        defer {
            timer.cancel()
            client.close()
        }
        var isConnected = false
        var complaint = "no handshake within \(Int(seconds)) s"
        for await event in client.events {
            switch event {
            case .connected: isConnected = true
            case .disconnected(let reason): complaint = reason
            case .refused(let error): return .turnedAway(error)
            case .message(let bytes):
                do throws(MessageError) {
                    if let answer = Answer(try CoordinatorMessage(decoding: bytes)) { return answer }
                } catch { return .notUnderstood("\(error)") }
            case .violation(let reason, _): return .notUnderstood(reason)
            case .failed(let error): throw error
            case .blobArrived, .blobProgress, .blobFailed, .blobSent: break
            }
        }
        return .silent(isConnected ? "it let us in and did not answer within \(Int(seconds)) s" : complaint)
    }
}

extension CoordinatorProbe.Answer {
    /// nil for what is no answer to the question.
    fileprivate init?(_ message: CoordinatorMessage) {
        switch message {
        case .welcome(let version, let run, _, _): self = .welcome(version: version, run: run)
        case .finished: self = .finished
        // What an earlier version says of a question that it does not know.
        case .refusal(.malformed, let reason): self = .notUnderstood(reason)
        case .refusal(let code, let reason): self = .refused(code, reason: reason)
        case .task, .wait, .verdict, .withdrawal: return nil
        }
    }
}

extension Hello {
    /// What a worker on these data would say.
    /// - Parameters:
    ///   - data: nil asks for the protocol's sake only.
    ///   - teacher: an ONNX file of the worker's own.
    /// - Throws: `DataError`, `WorkerError` and `ModelError`, as the worker's start.
    public static func ofWorker(data: DataSpec?, publicData: DataSpec?, teacher: String?) throws -> Hello {
        guard let data else {
            return Hello(software: softwareVersion, trainingSamples: 0, classes: 0, sampleShape: [], threads: 1)
        }
        var own = try WorkerData(spec: data)
        own.publicSet = try publicData.map { try PublicSet(spec: $0) }
        return own.hello(threads: 1, strength: 1, teacherClasses: try teacher.map(OwnTeacher.init)?.classes())
    }
}
