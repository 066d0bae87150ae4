import Foundation
import Transport

/// The coordinator's key pair and its list of allowed workers: `KEYS/server.{key,secret}` and `KEYS/allowed/*.key`.
public struct CoordinatorKeys: Sendable {
    public let pair: KeyPair
    public let allowList: AllowList

    /// Opens the folder; makes the server's key pair on first use.
    public static func open(directory: String) throws -> CoordinatorKeys {
        let secretPath = directory + "/server.secret"
        let pair: KeyPair
        if FileManager.default.fileExists(atPath: secretPath) {
            pair = try KeyFile.readSecret(secretPath)
        } else {
            pair = try KeyPair.generate()
            try KeyFile.write(pair, directory: directory, name: "server")
        }
        return CoordinatorKeys(pair: pair, allowList: AllowList(directory: directory + "/allowed"))
    }
}
