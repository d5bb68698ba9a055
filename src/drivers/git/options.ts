/** Options of the git driver. */
import type { EgressGuard } from '../../platform/egress.ts'

export type GitSourceOptions = {
  guard: EgressGuard
  /** Folders that may contain file: repositories. Empty to allow none. */
  fileRoots: string[]
  /** Folders that must not contain file: repositories, regardless of `fileRoots`. */
  forbiddenRoots: string[]
  /** PATH for finding git and ssh. */
  hostPath: string
  /** The driver's own folder. Created with mode 0700 if missing. */
  workDir: string
  limits?: Partial<GitLimits>
  /** Private key for ssh. Without it, ssh has no identity: the host's keys and agent are never used. */
  sshKeyFile?: string
  /** Certificates to trust for https in place of the system's. */
  caFile?: string
}

export type GitLimits = {
  /** Maximum total size of a checkout, and of the downloads for it. */
  treeBytes: number
  treeFiles: number
  /** Time without data after which a transfer fails. Rounded to whole seconds. */
  stallMs: number
  connectMs: number
}

export const defaultLimits: GitLimits = { treeBytes: 2 * 1024 ** 3, treeFiles: 1_000_000, stallMs: 30_000, connectMs: 15_000 }

export type GitSettings = Omit<GitSourceOptions, 'limits'> & { limits: GitLimits }
