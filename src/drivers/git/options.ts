/** What the git driver is told by main. */
import type { EgressGuard } from '../../platform/egress.ts'

export type GitSourceOptions = {
  guard: EgressGuard
  /** Folders that file: repositories may lie in; empty: none may. */
  fileRoots: string[]
  /** Folders that no file: repository may lie in, whatever `fileRoots` says. */
  forbiddenRoots: string[]
  /** PATH in which git and ssh are found. */
  hostPath: string
  /** A folder of the driver's own: made when missing, mode 0700. */
  workDir: string
  limits?: Partial<GitLimits>
  /** A private key for ssh. Without it ssh has no identity at all: the host's own keys and agent are never used. */
  sshKeyFile?: string
  /** Certificates to trust for https instead of the system's. */
  caFile?: string
}

export type GitLimits = {
  /** All files of a checkout together, and what is downloaded for it. */
  treeBytes: number
  treeFiles: number
  /** A transfer that moves nothing for this long has failed; whole seconds are used. */
  stallMs: number
  connectMs: number
}

export const defaultLimits: GitLimits = { treeBytes: 2 * 1024 ** 3, treeFiles: 1_000_000, stallMs: 30_000, connectMs: 15_000 }

export type GitSettings = Omit<GitSourceOptions, 'limits'> & { limits: GitLimits }
