"""DICOM files whose pixels are packed here, not by the code under test, and what an independent viewer shows of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut, compress
from pydicom.sequence import Sequence

from markerremover.formats.dicom.files import read_dicom, verify_dicom, write_dicom

NATIVE = [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.DeflatedExplicitVRLittleEndian]
ENCODED = [uid.RLELossless, uid.JPEG2000Lossless, uid.JPEGLSLossless]
BOX = (slice(2, 9), slice(3, 14))
SHAPE = (33, 37)  # JPEG 2000 needs 32


def header(syntax=uid.ExplicitVRLittleEndian, **elements) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = uid.DigitalXRayImageStorageForPresentation, "1.2.3.4"
    dataset.PatientName, dataset.Modality, dataset.ImageType = "SMITH^JOHN", "DX", ["ORIGINAL", "PRIMARY", ""]
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def random_stored(bits=12, signed=False, frames=1, seed=0, channels=0) -> np.ndarray:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    shape = (frames, *SHAPE, channels) if channels else (frames, *SHAPE)
    dtype = np.dtype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")
    return np.random.default_rng(seed).integers(low, high, shape, endpoint=True).astype(dtype)


def save(folder: Path, stored: np.ndarray, *, bits=12, shift=0, photometric="MONOCHROME2", syntax=uid.ExplicitVRLittleEndian,
         noise=0, name="in.dcm", **elements) -> Path:  # fmt: skip
    """Write a DICOM file whose pixels are packed here, not by the code under test.

    noise: bits, outside the stored ones, to set in every container.
    """
    dataset = header(syntax, **elements)
    signed, size = stored.dtype.kind == "i", stored.dtype.itemsize
    dataset.Rows, dataset.Columns = stored.shape[1:3]
    dataset.SamplesPerPixel = 1 if stored.ndim == 3 else 3
    if stored.shape[0] > 1:
        dataset.NumberOfFrames = stored.shape[0]
    if stored.ndim == 4:
        dataset.PlanarConfiguration = elements.get("PlanarConfiguration", 0)
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = photometric, int(signed)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * size, bits, bits + shift - 1
    if syntax in ENCODED:
        dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        dataset.BitsStored = 8 * size if syntax == uid.RLELossless else bits  # or else pydicom drops the upper of two bytes
        compress(dataset, syntax, stored if stored.shape[0] > 1 else stored[0], generate_instance_uid=False)
        dataset.BitsStored = bits
    else:
        plain = stored.transpose(0, 3, 1, 2) if stored.ndim == 4 and dataset.PlanarConfiguration else stored
        words = (plain.astype(np.int64) & ((1 << bits) - 1)) << shift | noise
        data = words.astype(f"{'>' if syntax == uid.ExplicitVRBigEndian else '<'}u{size}").tobytes()
        dataset.PixelData = data + b"\0" * (len(data) % 2)
        dataset["PixelData"].VR = "OW" if size == 2 else "OB"
    path = folder / name
    dataset.save_as(path, enforce_file_format=True)
    return path


def rewrite(folder: Path, path: Path, touched=True, box=BOX, **options):
    """Read, black out `box` if touched, write, verify, read again: (radiograph, new stored, again, dataset)."""
    radiograph = read_dicom(path)
    new = radiograph.stored.copy()
    if touched:
        new[:, box[0], box[1]] = radiograph.fill if new.ndim == 4 else radiograph.fill[0]
    target = folder / "out.dcm"
    write_dicom(radiograph, new, target, touched=touched, **options)
    checked = {key: value for key, value in options.items() if key in ("headers", "transfer_syntax")}
    verify_dicom(radiograph, new, target, touched=touched, **checked)
    return radiograph, new, read_dicom(target), pydicom.dcmread(target)


def rendered(dataset: Dataset) -> np.ndarray:
    """What a viewer shows, by pydicom alone, as floats 0–1 (bright = 1)."""
    values = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset).astype(float)
    low, high = values.min(), values.max()
    share = (values - low) / max(high - low, 1)
    return 1 - share if dataset.PhotometricInterpretation == "MONOCHROME1" else share


def lut(values, first=0, bits=16) -> Sequence:
    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item["LUTDescriptor"].VR = "US"
    item.add_new(0x00283006, "OW", np.array(values, "<u2").tobytes())
    item.ModalityLUTType = "US"
    return Sequence([item])


def lossless_jpeg(frame: np.ndarray, bits: int, predictor: int = 1) -> bytes:
    """(H, W) or (H, W, 3) unsigned values as lossless JPEG (process 14, Annex H of ISO 10918-1); predictor 1 is first order.

    One Huffman table for all: seventeen codes of five bits.
    """
    pixels = frame.astype(np.int64).reshape(*frame.shape[:2], -1)
    guess = np.empty_like(pixels)
    left, above = pixels[1:, :-1], pixels[:-1, 1:]
    guess[0, 0], guess[0, 1:], guess[1:, 0] = 1 << (bits - 1), pixels[0, :-1], pixels[:-1, 0]
    guess[1:, 1:] = {1: left, 2: above, 5: left + ((above - pixels[:-1, :-1]) >> 1), 7: (left + above) >> 1}[predictor]
    text = []
    for difference in ((pixels - guess + 32767) % 65536 - 32767).ravel().tolist():
        size = abs(difference).bit_length()
        extra = difference if difference > 0 else difference + (1 << size) - 1
        text.append(f"{size:05b}" + (f"{extra:0{size}b}" if 0 < size < 16 else ""))
    coded = "".join(text)
    coded += "1" * (-len(coded) % 8)
    data = int(coded, 2).to_bytes(len(coded) // 8, "big").replace(b"\xff", b"\xff\0")
    height, width, channels = pixels.shape
    start = bytes([bits, *height.to_bytes(2, "big"), *width.to_bytes(2, "big"), channels, *(v for c in range(channels) for v in (c + 1, 0x11, 0))])
    tables = bytes([0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    scan = bytes([channels, *(v for c in range(channels) for v in (c + 1, 0)), predictor, 0, 0])
    segments = ((0xC3, start), (0xC4, tables), (0xDA, scan))
    head = b"".join(bytes([0xFF, marker, *(len(body) + 2).to_bytes(2, "big")]) + body for marker, body in segments)
    return b"\xff\xd8" + head + data + b"\xff\xd9"


def save_frames(path: Path, stored: np.ndarray, frames: list[bytes], syntax: uid.UID, **how) -> Path:
    """The file that `save` makes, with frames that somebody else has compressed."""
    dataset = pydicom.dcmread(save(path.parent, stored, name=path.name, **how))
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)
    return path


def item(**elements) -> Dataset:
    """A dataset for a sequence."""
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def code(value: str, meaning: str, scheme: str = "99LOC") -> Dataset:
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _reference(sop_class: str, instance: str, **more) -> Dataset:
    return item(ReferencedSOPClassUID=f"1.2.840.10008.{sop_class}", ReferencedSOPInstanceUID=instance, **more)


def radiograph_header(kind: str) -> dict[str, object]:
    """Elements of a whole header of John Smith, as a CR, DX, MG or SC image object must and may hold them."""
    day, moment = "20200131", "101500"
    both = {
        "SOPClassUID": {"DX": uid.DigitalXRayImageStorageForPresentation, "CR": uid.ComputedRadiographyImageStorage,
                        "MG": uid.DigitalMammographyXRayImageStorageForPresentation, "SC": uid.SecondaryCaptureImageStorage}[kind],
        "SOPInstanceUID": "1.2.840.99.1.1.1", "StudyInstanceUID": "1.2.840.99.1", "SeriesInstanceUID": "1.2.840.99.1.1",
        "SpecificCharacterSet": "ISO_IR 100", "ImageType": ["ORIGINAL", "PRIMARY"], "Modality": "OT" if kind == "SC" else kind,
        **{f"{what}Date": day for what in ("Study", "Series", "Acquisition", "Content", "InstanceCreation", "PerformedProcedureStepStart")},
        **{f"{what}Time": moment for what in ("Study", "Series", "Acquisition", "Content", "InstanceCreation", "PerformedProcedureStepStart")},
        "AcquisitionDateTime": day + moment, "InstanceCreatorUID": "1.2.840.99.11", "DeviceUID": "1.2.840.99.10",
        "PatientName": "SMITH^JOHN", "PatientID": "4711-X", "IssuerOfPatientID": "HOSP", "PatientBirthDate": "19610102", "PatientSex": "M",
        "PatientAge": "059Y", "PatientSize": "1.80", "PatientWeight": "80", "EthnicGroup": "X", "PatientComments": "comment", "Occupation": "clerk",
        "OtherPatientIDsSequence": [item(PatientID="999-Y", IssuerOfPatientID="OTHER", TypeOfPatientID="TEXT")],
        "AdditionalPatientHistory": "cough", "AdmittingDiagnosesDescription": "cough", "AdmittingDiagnosesCodeSequence": [code("D1", "cough")],
        "IssuerOfAccessionNumberSequence": [item(LocalNamespaceEntityID="HOSP")],
        "IssuerOfPatientIDQualifiersSequence": [item(UniversalEntityID="1.2.3.4", UniversalEntityIDType="ISO")],
        "AccessionNumber": "ACC0815", "StudyID": "S1", "SeriesNumber": "1", "InstanceNumber": "1", "AcquisitionNumber": "1",
        "ReferringPhysicianName": "Refer^Doc", "PhysiciansOfRecord": "Rec^Doc", "PerformingPhysicianName": "Perf^Doc", "OperatorsName": "Nurse^Alice",
        "ReferringPhysicianIdentificationSequence": [item(PersonIdentificationCodeSequence=[code("P1", "Dr Refer")], InstitutionName="H")],
        "OperatorIdentificationSequence": [item(PersonIdentificationCodeSequence=[code("P2", "Alice")], InstitutionName="H")],
        "InstitutionName": "General Hospital", "InstitutionAddress": "1 Street", "InstitutionCodeSequence": [code("I1", "Hospital")],
        "Manufacturer": "Acme", "ManufacturerModelName": "Model", "StationName": "STAT1", "DeviceSerialNumber": "SN1", "DetectorID": "D1", "CassetteID": "C1",
        "DateOfLastDetectorCalibration": "20200101", "TimeOfLastDetectorCalibration": "101010",
        "StudyDescription": "Chest", "SeriesDescription": "Chest PA", "ProtocolName": "Chest", "BodyPartExamined": "CHEST", "ImageComments": "comment",
        "ReferencedStudySequence": [_reference("3.1.2.3.1", "1.2.840.99.7")],
        "ReferencedPerformedProcedureStepSequence": [_reference("3.1.2.3.3", "1.2.840.99.8")],
        "ReferencedPatientSequence": [_reference("3.1.2.1.1", "1.2.840.99.12")],
        "ReferencedImageSequence": [_reference("5.1.4.1.1.1", "1.2.840.99.9", PurposeOfReferenceCodeSequence=[code("121311", "Localizer", "DCM")])],
        "SourceImageSequence": [_reference("5.1.4.1.1.1", "1.2.840.99.9",
                                           PurposeOfReferenceCodeSequence=[code("121320", "Uncompressed predecessor", "DCM")])],
        "AnatomicRegionSequence": [code("51185008", "Chest", "SCT")], "ProcedureCodeSequence": [code("X2", "Chest")],
        "RequestAttributesSequence": [item(RequestedProcedureDescription="Chest", ScheduledProcedureStepDescription="Chest", RequestedProcedureID="RP1",
                                           ScheduledProcedureStepID="SPS1", ScheduledProtocolCodeSequence=[code("X1", "Chest PA")])],
        "PerformedProcedureStepID": "PPS1", "PerformedProcedureStepDescription": "Chest", "PerformedProtocolCodeSequence": [code("X1", "Chest PA")],
        "ContributingEquipmentSequence": [item(PurposeOfReferenceCodeSequence=[code("109101", "Acquisition Equipment", "DCM")], Manufacturer="Acme",
                                               InstitutionName="H", StationName="S", ContributionDateTime=day + moment, OperatorsName="X^Y")],
        "OriginalAttributesSequence": [item(SourceOfPreviousValues="X", AttributeModificationDateTime=day + moment, ModifyingSystem="PACS",
                                            ReasonForTheAttributeModification="CORRECT",
                                            ModifiedAttributesSequence=[item(PatientName="OLD^NAME", PatientID="77")])],
        **{f"ClinicalTrial{what}": "x" for what in ("SponsorName", "ProtocolID", "ProtocolName", "SiteID", "SiteName", "SubjectID", "TimePointID")},
        "ClinicalTrialProtocolEthicsCommitteeName": "Committee", "ClinicalTrialProtocolEthicsCommitteeApprovalNumber": "17",
        "KVP": "120", "DistanceSourceToDetector": "1800", "ExposureTime": "10", "XRayTubeCurrent": "100", "Exposure": "5", "ViewPosition": "PA",
        "ImagerPixelSpacing": ["0.15", "0.15"], "PatientOrientation": ["L", "F"], "ImageLaterality": "U",
        "LossyImageCompression": "00", "BurnedInAnnotation": "YES", "WindowCenter": "2048", "WindowWidth": "4096",
    }  # fmt: skip
    if kind == "SC":
        return both | {"ConversionType": "WSD"}
    if kind == "CR":
        return both
    both |= {
        "PresentationIntentType": "FOR PRESENTATION", "DetectorType": "DIRECT", "PositionerType": "NONE", "PixelIntensityRelationship": "LIN",
        "PixelIntensityRelationshipSign": 1, "RescaleIntercept": "0", "RescaleSlope": "1", "RescaleType": "US", "PresentationLUTShape": "IDENTITY",
        "FieldOfViewOrigin": ["0", "0"], "FieldOfViewRotation": "0", "FieldOfViewHorizontalFlip": "NO",
        "ViewCodeSequence": [item(CodeValue="399348003", CodingSchemeDesignator="SCT", CodeMeaning="postero-anterior", ViewModifierCodeSequence=[])],
        "AcquisitionContextSequence": [item(ValueType="CODE", ConceptNameCodeSequence=[code("X4", "who")], ConceptCodeSequence=[code("X5", "x")])],
    }  # fmt: skip
    mammography = {
        "PositionerType": "MAMMOGRAPHIC", "ImageLaterality": "R", "OrganExposed": "BREAST", "BodyPartExamined": "BREAST", "BreastImplantPresent": "NO",
        "PartialView": "NO", "AnatomicRegionSequence": [code("76752008", "Breast", "SCT")], "ViewPosition": "CC",
        "ViewCodeSequence": [item(CodeValue="399162004", CodingSchemeDesignator="SCT", CodeMeaning="cranio-caudal", ViewModifierCodeSequence=[])],
    }  # fmt: skip
    return both | (mammography if kind == "MG" else {})
