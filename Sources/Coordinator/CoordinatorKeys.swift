import Foundation
import Transport

/// The coordinator's key pair and its list of allowed workers: `KEYS/server.{key,secret}` and `KEYS/allowed/*.key`.
public struct CoordinatorKeys: Sendable {
    public let pair: KeyPair
    public let allowList: AllowList

    /// Opens the folder; makes the server's key pair on first use.
    public static func open(directory: String) throws -> CoordinatorKeys {
        if let found = try existing(directory: directory) { return found }
        let pair = try KeyPair.generate()
        try KeyFile.write(pair, directory: directory, name: name)
        return CoordinatorKeys(pair: pair, allowList: AllowList(directory: directory + "/allowed"))
    }

    private static let name = "server"

    /// The pair that is there; nil where `open` would make one.
    /// - Throws: `TransportError` for a pair that cannot be used, or half of one that stands in a new one's way.
    public static func existing(directory: String) throws(TransportError) -> CoordinatorKeys? {
        let secretPath = "\(directory)/\(name).secret"
        guard FileManager.default.fileExists(atPath: secretPath) else {
            try KeyFile.checkFree(directory: directory, name: name)
            return nil
        }
        return CoordinatorKeys(
            pair: try KeyFile.readSecret(secretPath), allowList: AllowList(directory: directory + "/allowed"))
    }
}
