-- AlterEnum
ALTER TYPE "webhook_format" ADD VALUE 'OCORE';
