import Foundation
import Monitor
import Transport

// Whose keys are where. Secrets are read, and never shown.

extension Doctor {
    private var folder: String { state + "/keys" }

    /// Whether a public file holds the other half of the secret one beside it: workers would be given a wrong key.
    func lookAtPair(_ name: String) {
        let (publicPath, secretPath) = ("\(folder)/\(name).key", "\(folder)/\(name).secret")
        // What is wrong with the secret has been said.
        guard let pair = try? KeyFile.readSecret(secretPath) else { return }
        guard let key = try? KeyFile.readPublic(publicPath), FileManager.default.fileExists(atPath: publicPath) else {
            return add(
                Finding(
                    "key pair", .warning, "\(publicPath) is missing or no key file",
                    mend: "it should hold \(pair.publicKey), which others need"))
        }
        guard key == pair.publicKey else {
            return add(
                Finding(
                    "key pair", .failed, "\(publicPath) is not the other half of \(secretPath)",
                    mend: "write \(pair.publicKey) into it, and give it to others again",
                    exitCode: PleachExit.keys.rawValue))
        }
        add(Finding("key pair", "\(publicPath) and .secret belong together; the secret is not for everybody to read"))
    }

    func lookAtWorkerKeys() {
        if let key = options.serverKey {
            look("server key") { "\(try KeyFile.readPublic(key))" }
        }
        let secretPath = folder + "/worker.secret"
        guard FileManager.default.fileExists(atPath: secretPath) else {
            return add(
                Finding(
                    "keys", .warning, "there is no \(secretPath) yet",
                    mend:
                        "make it with 'pleach keys new \(folder)', and have its public half allowed at the coordinator")
            )
        }
        look("keys") { "public key \(try KeyFile.readSecret(secretPath).publicKey)" }
        lookAtPair("worker")
    }

    /// This machine's own; nil where there is none that can be used.
    var workerPair: KeyPair? { try? KeyFile.readSecret(folder + "/worker.secret") }
}
