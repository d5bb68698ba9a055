/** Fields that the bodies of this contract share. */
import { z } from 'zod'

export { id, time, timeOf, timeOrNull, words } from '../core/index.ts'

export const total = z.int().min(0).describe('Total number of items in the list.')
