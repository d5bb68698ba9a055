/** What a deployment needs from outside beside the runtime: the source. */
import { definePort } from '../../../platform/port.ts'
import type { SourceWriter, StepIo } from '../instance/ports.ts'

export type SourceFailureCode = 'REPOSITORY_MISSING' | 'SOURCE_UNREACHABLE' | 'SOURCE_REJECTED' | 'COMMIT_NOT_FOUND'

export type RepositoryRef = {
  /** Without credentials. https, http (to addresses that EGRESS_ALLOW names), ssh, scp-like, or file. */
  url: string
  /** Given by askpass; never in argv, a log or `.git/config`. */
  credential: { username: string; password: string } | null
  /** Private key for ssh, in OpenSSH's format; null for that of the installation, if there is one. Never in argv or a log. */
  sshKey: string | null
}

export type PinRequest = {
  repository: RepositoryRef
  branch: string
  /** A full or abbreviated hash, a tag or a branch that wins over `branch`. */
  commit: string | null
}

/** `author` is the name of the commit's author. */
export type PinnedCommit = { hash: string; message: string; author: string; branch: string }

/** Where code comes from. Every refusal is PortError<SourceFailureCode>; an abort throws `signal.reason`. */
export interface Source {
  /**
   * Judges a URL and a branch without any network: throws PortError 'SOURCE_REJECTED' (leading `-`, helper transports such as
   * `ext::`, unknown scheme, file: outside GIT_FILE_ROOTS), naming the setting that would allow it where there is one.
   */
  check(url: string, branch: string): void
  /** Turns a branch, tag or hash into one commit hash, with its message and author. */
  pin(request: PinRequest, io: StepIo): Promise<PinnedCommit>
  /** A writer of that commit's tree: shallow, with submodules and LFS where present, without `.git`, no link out of the tree. */
  tree(repository: RepositoryRef, commit: Pick<PinnedCommit, 'hash' | 'branch'>): SourceWriter
  /** Removes what a process that was killed left behind. */
  sweep(): Promise<void>
}

export const sourcePort = definePort<Source>('source')
