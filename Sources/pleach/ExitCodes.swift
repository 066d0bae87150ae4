import ArgumentParser
import Compression
import Coordinator
import Engine
import Federation
import Foundation
import Ledger
import ModelGraph
import Monitor
import Tensors
import Transport
import UpdateCodec
import Worker

/// What a process's exit status means; one meaning each (docs/exit-codes.md).
enum PleachExit: Int32, Sendable, CaseIterable {
    case success = 0
    case internalError = 1
    case plan = 2
    case model = 3
    case data = 4
    case network = 5
    case keys = 6
    case noWorkers = 7
    case diskFull = 8
    case state = 9
    case stopped = 10
    case taskFailed = 11

    /// In short, for the manual page; docs/exit-codes.md says more.
    var meaning: String {
        switch self {
        case .success: "success"
        case .internalError: "internal error, or a child was killed"
        case .plan: "the plan"
        case .model: "the model, or a damaged calibration set"
        case .data: "the data; for `update inspect` also a file that is no blob, or a damaged one"
        case .network: "the network: port in use, coordinator unreachable"
        case .keys: "keys: not allowed, wrong server key"
        case .noWorkers: "no workers within the waiting time"
        case .diskFull: "disk full"
        case .state: "the state folder: in use, damaged, another plan's"
        case .stopped: "stopped on request"
        case .taskFailed: "a task or its numerics failed"
        }
    }

    /// The status for an error of any layer.
    init(_ error: any Error) {
        switch error {
        case is PlanError: self = .plan
        case is ModelError, is EngineError, is CompressionError: self = .model
        case is DataError, is TensorError, is CodecError: self = .data
        case let error as LedgerError: self = error.isDiskFull ? .diskFull : .state
        case let error as TransportError: self = error.concernsKeys ? .keys : .network
        case MonitorError.tokenExposed: self = .keys
        case let error as MonitorError: self = error.isDiskFull ? .diskFull : error.concernsNetwork ? .network : .state
        case let error as CoordinatorError:
            switch error {
            case .model: self = .model
            case .planChanged, .state: self = .state
            }
        case let error as WorkerError:
            switch error {
            case .state: self = .state
            case .data: self = .data
            case .model: self = .model
            case .network: self = .network
            case .keys: self = .keys
            }
        case let error as CocoaError where error.code == .fileWriteOutOfSpace: self = .diskFull
        default: self = .internalError
        }
    }

    init(_ failure: RunFailure) {
        switch failure {
        case .noWorkers: self = .noWorkers
        case .diskFull: self = .diskFull
        case .corruptState: self = .state
        case .network: self = .network
        case .numerics: self = .taskFailed
        case .stopped: self = .stopped
        }
    }

    init(_ outcome: WorkerOutcome) {
        switch outcome {
        case .runFinished: self = .success
        case .stopped: self = .stopped
        case .refused(.data, _): self = .data
        case .refused: self = .network
        case .turnedAway: self = .keys
        case .unreachable: self = .network
        case .failed: self = .taskFailed
        case .diskFull: self = .diskFull
        }
    }
}

/// Runs a command's body; an error becomes one line on stderr and its exit code.
func exitingOnError<Result>(_ body: () async throws -> Result) async throws -> Result {
    do {
        return try await body()
    } catch let code as ExitCode {
        throw code
    } catch let error as ValidationError {
        // One line, like every other error; the usage text is a --help away.
        printError(error.message)
        throw ExitCode.validationFailure
    } catch {
        printError("\(error)")
        throw ExitCode(PleachExit(error).rawValue)
    }
}

/// One line on stderr; names out of files and off the network cannot make it more, or colour it.
func printError(_ message: String) {
    let line = escapedForTerminal(message, limit: 4000)
    let prefix = JournalStream.isBehind(STDERR_FILENO) ? JournalStream.prefix(.error) : ""
    writeText("\(prefix)error: \(line)\n", to: STDERR_FILENO)
}

/// Ends the process with a status, unless it is success.
func endProcess(_ status: PleachExit) throws {
    if status != .success { throw ExitCode(status.rawValue) }
}

extension Finding {
    /// What a start would end with.
    init(_ check: String, refused error: any Error) {
        self.init(check, .failed, "\(error)", exitCode: PleachExit(error).rawValue)
    }
}

/// Prints a value as JSON with sorted keys; names out of files cannot move a terminal.
func printJSON(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    print(escapedJSON(String(decoding: try encoder.encode(value), as: UTF8.self)))
}

extension TransportError {
    /// Whether the mend is about keys rather than addresses.
    var concernsKeys: Bool {
        switch self {
        case .invalidKey, .incompleteKeys, .unreadableKeyFile, .unwritableKeyFile, .exposedSecret, .invalidName,
            .keyAlreadyAllowed, .nameAlreadyAllowed, .nameNotAllowed, .keyNotAllowed, .wrongServerKey,
            .mechanismMismatch:
            true
        case .addressInUse, .invalidEndpoint, .serverFull, .messageTooLarge, .unsentMessages, .system: false
        }
    }
}
