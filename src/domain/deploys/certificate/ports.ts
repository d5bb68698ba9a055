/** Certificate authorities that issue by ACME (RFC 8555). */
import { definePort } from '../../../platform/port.ts'

export type IssueRequest = {
  /** Private key of the account, in PEM. The account is created at first use. */
  accountKey: string
  domain: string
  /** Private key of the certificate, in PEM. It does not leave the process. */
  privateKey: string
  /** An order to continue, if the authority still has it. Null for a new one. */
  orderUrl: string | null
  /** Called with a new order, before anything is done for it. What it throws rejects the call. */
  onOrder(url: string): Promise<void>
  /** Called before the authority requests the answer of an HTTP-01 challenge from the domain. What it throws rejects the call. */
  onChallenge(challenge: { token: string; answer: string }): Promise<void>
  /** Limit for all requests and waits together. */
  timeoutMs: number
}

/**
 * `challenge`: the authority could not verify the domain. `refused`: it does not issue for it. `rate_limited`: not now. `account`: it does not
 * accept the account. `unreachable`: it did not answer in time, or answered with an error of its own. `protocol`: its answer was not valid.
 */
export type IssueFailure = 'challenge' | 'refused' | 'rate_limited' | 'account' | 'unreachable' | 'protocol'

export type IssueResult =
  /** The chain in PEM, the certificate of the domain first. */
  | { type: 'issued'; chain: string }
  /** The message can be shown to users. `retryAfterMs`: how long the authority asks to wait; null if it does not. */
  | { type: 'failed'; failure: IssueFailure; message: string; retryAfterMs: number | null }

export interface CertificateAuthority {
  /** Orders a certificate. Rejects with the reason of the signal, or with what a callback has thrown. */
  issue(request: IssueRequest, signal: AbortSignal): Promise<IssueResult>
}

/** Provided only with ACME_DIRECTORY_URL. */
export const certificateAuthority = definePort<CertificateAuthority>('certificate authority', { isOptional: true })
