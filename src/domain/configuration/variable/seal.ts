import type { Work } from '../../../platform/work.ts'
import { isTooShortToRedact } from './model.ts'

/** A value as rows store it. The sealed bytes are base64 text, so that many values fit in one array parameter. */
export type StoredValue = { sealed: string; fingerprint: string; isShort: boolean }

/** Seals values of one organization, in order. */
export async function sealValues(
  { app, tx }: Work,
  organizationId: string,
  values: readonly { identity: string; plain: string }[],
): Promise<StoredValue[]> {
  const sealed = await app.keyring.sealAll(tx, organizationId, values)
  const fingerprints = await app.keyring.fingerprintAll(
    tx,
    organizationId,
    values.map(({ plain }) => plain),
  )
  return values.map(({ plain }, index) => ({
    sealed: Buffer.from(sealed[index]!).toString('base64'),
    fingerprint: fingerprints[index]!,
    isShort: isTooShortToRedact(plain),
  }))
}
