import type { CertificateSource, CertificateStatus } from '../../../generated/prisma/client.ts'
import type { Claimed } from '../../../platform/claim.ts'
import { nilId } from '../../../platform/id.ts'
import type { IssueFailure } from './ports.ts'

/** What the sealed columns are sealed for. */
export const privateKeyIdentity = (id: string) => `certificate:${id}:private_key`
export const orderKeyIdentity = (id: string) => `certificate:${id}:order_key`
export const accountKeyIdentity = (id: string) => `acme_account:${id}:private_key`
/** The keys of accounts belong to the installation. */
export const accountOwner = nilId

/** Woken when a domain may need a certificate. */
export const requestsTopic = 'certificate requests'
/** Woken when a certificate may have to be ordered. */
export const ordersTopic = 'certificates'
/** Woken when the certificates that routers serve have changed. */
export const servedTopic = 'served certificates'

/** A certificate as it is claimed. */
export type CertificateItem = Claimed & {
  id: string
  organizationId: string
  customDomainId: string
  source: CertificateSource
  status: CertificateStatus
  orderUrl: string | null
  orderKey: Uint8Array | null
  attempts: number
  notBefore: Date | null
  expiresAt: Date | null
}

const minuteMs = 60_000
export const hourMs = 60 * minuteMs
export const dayMs = 24 * hourMs

/** Waits after the first, second, … failure in a row. */
const waitsMs = [1, 5, 15, 60, 180, 360, 720, 1_440].map((minutes) => minutes * minuteMs)
/** Authorities limit failed validations, often to five an hour for a name, so these are not repeated soon. */
const leastWaitMs: Partial<Record<IssueFailure, number>> = { challenge: 15 * minuteMs, refused: hourMs, rate_limited: hourMs }
/** What an authority asks for is respected up to this, so that a wrong answer does not stop renewals. */
const maxRetryAfterMs = 7 * dayMs

/** How long to wait after a failure. `random` is from 0 to 1. */
export function waitAfter(failures: number, failure: IssueFailure, retryAfterMs: number | null, random = Math.random()): number {
  const base = Math.max(waitsMs[Math.min(failures, waitsMs.length) - 1] ?? waitsMs[0]!, leastWaitMs[failure] ?? 0)
  return Math.round(Math.max(base * (1 + random / 10), Math.min(retryAfterMs ?? 0, maxRetryAfterMs)))
}

/**
 * When a new certificate is renewed: after two thirds of its life, at most a fiftieth of it earlier, so that many are not renewed at once. Not
 * in the first third of what is left of it, so that an authority with another clock is not asked over and over.
 */
export function renewalAt(now: Date, { notBefore, expiresAt }: Validity, random = Math.random()): Date {
  const lifeMs = expiresAt.getTime() - notBefore.getTime()
  const restMs = expiresAt.getTime() - now.getTime()
  return new Date(Math.max(notBefore.getTime() + lifeMs * (2 / 3 - random / 50), now.getTime() + restMs / 3))
}

type Validity = { notBefore: Date; expiresAt: Date }

/** When the owner of an uploaded certificate is told of its end again: after half of the rest, at the end itself on its last day. */
export function nextWarningAt(now: Date, expiresAt: Date): Date {
  const restMs = expiresAt.getTime() - now.getTime()
  return restMs <= dayMs ? expiresAt : new Date(now.getTime() + restMs / 2)
}
