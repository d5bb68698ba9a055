import { definePort } from '../../../platform/port.ts'
import type { Source } from './ports.ts'

export const sourcePort = definePort<Source>('source')
