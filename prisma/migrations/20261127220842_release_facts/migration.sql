-- AlterTable
ALTER TABLE "release" ADD COLUMN     "facts" JSON;
