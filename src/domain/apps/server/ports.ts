/** What the domain needs of machines that are reached over SSH. */
import { definePort } from '../../../platform/port.ts'

/** A public key of a host. `fingerprint` is `SHA256:` and the hash in base64, as OpenSSH prints it. */
export type HostKey = { type: string; fingerprint: string }

export type SshTarget = {
  host: string
  port: number
  user: string
  /** A private key is in OpenSSH's format, without a passphrase. */
  credential: { password: string } | { privateKey: string }
  /** The key that the host must prove to have. Null: any, because none has been seen yet. */
  hostKey: HostKey | null
}

/** What a machine says of itself. Null: it did not say. The disk is the one that Quayside would use. */
export type ServerFacts = {
  cpuCores: number | null
  ramTotalBytes: number | null
  diskTotalBytes: number | null
  diskFreeBytes: number | null
  osName: string | null
  osVersion: string | null
  kernel: string | null
  architecture: string | null
}

/**
 * `BLOCKED`: EGRESS_ALLOW does not allow the address. `NAME_UNKNOWN`: the name has no address. `CONNECTION_REFUSED`: nothing listens on the
 * port. `UNREACHABLE`: no connection for another reason, or it broke off. `TIMEOUT`: a stage took too long. `NOT_SSH`: what answers does not
 * speak SSH as specified. `NO_COMMON_ALGORITHM`: it offers only algorithms that are not accepted. `HOST_KEY_CHANGED`: it has another key than
 * the pinned one, so no credential was sent. `LOGIN_REFUSED`: it does not accept the credential. `NO_SHELL`: the account cannot run commands.
 */
export type SshFailureCode =
  | 'BLOCKED'
  | 'NAME_UNKNOWN'
  | 'CONNECTION_REFUSED'
  | 'UNREACHABLE'
  | 'TIMEOUT'
  | 'NOT_SSH'
  | 'NO_COMMON_ALGORITHM'
  | 'HOST_KEY_CHANGED'
  | 'LOGIN_REFUSED'
  | 'NO_SHELL'

/** The message is for users. It contains nothing that the host sent, except names of login methods and fingerprints. */
export type SshFailure = { code: SshFailureCode; message: string }

/**
 * What a connection has shown. `hostKey` is the key that the host proved to have, null if it did not get that far; with `HOST_KEY_CHANGED`, the
 * key that it presented instead of the pinned one.
 */
export type Inspection =
  | { hostKey: HostKey; facts: ServerFacts; failure: null }
  | { hostKey: HostKey | null; facts: null; failure: SshFailure }

export interface Ssh {
  /**
   * Connects once, logs in, reads the facts and disconnects. Sends no credential before the host has proven its key. Each stage has a timeout.
   * Throws only `signal.reason`.
   */
  inspect(target: SshTarget, signal: AbortSignal): Promise<Inspection>
}

export const sshPort = definePort<Ssh>('ssh')
