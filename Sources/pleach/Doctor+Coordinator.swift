import Engine
import Federation
import Foundation
import Monitor
import Transport
import Worker

// The data, and the coordinator's word on them.

extension Doctor {
    private static let environment = ProcessInfo.processInfo.environment

    private func spec(_ text: String) throws -> DataSpec { try DataSpec(parsing: text, environment: Self.environment) }

    /// Classes, shapes, the first samples decoded; against the model where there is one.
    func lookAtData() {
        guard let text = options.data ?? (isWorker ? nil : plan?.data) else { return }
        let (graph, limit) = (graph, DataReport.sampleLimit)
        look("data") {
            let (report, data) = try DataReport.make(try spec(text))
            if let graph { try data.checkFits(graph) }
            let shape = report.inputs.map { $0.sampleShape.map(String.init).joined(separator: "x") }.joined(
                separator: ", ")
            let kind = report.classes > 0 ? "\(report.classes) classes" : report.targets
            let damage =
                report.damage.damaged == 0 ? "" : ", \(report.damage.damaged) of \(min(limit, report.samples)) damaged"
            return "\(text): \(report.samples) samples of \(shape), \(kind)\(damage)"
                + (graph == nil ? "" : "; fits the model")
        }
        guard let text = options.publicData ?? (isWorker ? nil : plan?.publicData) else { return }
        look("public set") { "\(text): \(try Dataset.load(try spec(text)).count) samples" }
    }

    /// TCP, then the handshake and a question that begins no session.
    func lookAtCoordinator() async {
        guard let address = options.coordinator, let key = options.serverKey else { return }
        var isThere = false
        look("reached") {
            let host = try Reachability.check(address, seconds: options.patience)
            isThere = true
            return "\(address) answers (TCP, \(host))"
        }
        // Without keys of its own nothing more can be asked, and a strange key would only alarm the coordinator.
        guard isThere, let pair = workerPair, let serverKey = try? KeyFile.readPublic(key) else { return }
        let hello: Hello
        do {
            hello = try Hello.ofWorker(
                data: try options.data.map(spec), publicData: try options.publicData.map(spec), teacher: options.teacher
            )
        } catch {
            return add(Finding("welcome", refused: error))
        }
        do {
            let probe = CoordinatorProbe(coordinator: address, keys: pair, serverKey: serverKey)
            add(finding(try await probe.ask(hello, seconds: options.patience), pair))
        } catch {
            add(Finding("welcome", refused: error))
        }
    }

    /// Says what was proven: the handshake is of keys, the answer of protocol and data.
    private func finding(_ answer: CoordinatorProbe.Answer, _ pair: KeyPair) -> Finding {
        let shaken = "the keys are right on both sides"
        switch answer {
        case .welcome(let version, let run):
            let data = options.data == nil ? "; data were not asked about: give --data" : ", and so do the data"
            return Finding("welcome", "\(shaken), protocol \(version) fits run \(run)\(data)")
        case .finished: return Finding("welcome", "\(shaken); the run has finished")
        case .refused(.version, let reason):
            return Finding("welcome", .failed, "\(shaken), but \(reason)", exitCode: PleachExit.network.rawValue)
        case .refused(let code, let reason):
            let exit = code == .data ? PleachExit.data : .network
            return Finding("welcome", .failed, "\(shaken), but \(reason)", exitCode: exit.rawValue)
        case .turnedAway(.keyNotAllowed(let endpoint)):
            return Finding(
                "welcome", .failed,
                "the coordinator at \(endpoint) has the key that was given, and does not allow ours",
                mend: "there: pleach keys allow STATE/keys '\(pair.publicKey)' --name NAME",
                exitCode: PleachExit.keys.rawValue)
        case .turnedAway(let error):
            return Finding("welcome", refused: error)
        case .notUnderstood(let reason):
            return Finding(
                "welcome", .warning, "\(shaken), but it does not understand the question (\(reason))",
                mend: "it is another version; compare 'pleach --version'")
        case .silent(let reason):
            return Finding(
                "welcome", .failed, "somebody listens, but \(reason)",
                mend: "is it a Pleach coordinator that runs? its log says more", exitCode: PleachExit.network.rawValue)
        }
    }
}
