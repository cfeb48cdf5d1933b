"""DICOM's vocabulary: words of defined terms and attribute names. In a coded value they do not identify a patient of that name.

The terms are those of PS3.3 and PS3.16 (modalities, body parts, positions, kinds of images, display, acquisition). Words of
attribute names come from the data dictionary.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset

from .spelling import plain

__all__ = ["is_concept", "is_term", "vocabulary"]

_TERMS = frozenset("""
    ar as asmt au bdus bi bmd cd cf cp cr cs ct dd df dg dm doc ds dx ec ecg eeg emg eog eps es ff fid fs ga gm hc hd io iol ivoct ivus ko kr ktr len
    lp ls m3d ma mg mr ms nm oam oct op opm opr opt opv oss osteo ot pa plan plus pos pr pt ptx px reg resp rf rg rtdose rtimage rtplan rtrad rtrecord
    rtsegann rtstruct rwv seg sm smr sr srf st stain texturemap tg us va vf xa xaprotocol xc
    abdomen abdomenpelvis adrenal ankle anterior antebrachium anus aorta aortic appendix arm artery atrium axilla back biliary bladder blood body bone
    bowel brachial brain breast bronchus buttock calcaneus calf carotid carpus cecum celiac cerebellum cerebral cerebrum cervical cervix cheek chest
    chestabdomen chestabdpelvis clavicle coccyx colon coronary cornea cspine cteecol ctspine duodenum ear elbow endo entire epigastric esophagus extremity
    eye eyelid face facial femoral femur fibula finger foot forearm gallbladder gluteal groin hand head headneck heart heel hemithorax hepatic hip
    humerus hypogastric iac ilium inguinal internal intestine jaw jejunum joint kidney knee larynx leg ligament limb lip liver lower lowerleg lspine
    lumbar lung mandible maxilla mediastinum mouth muscle nasal nasopharynx navel neck neckchest neckchestabdomen neckchestabdpelv nose orbit ovary palate
    palm pancreas parathyroid parotid patella pelvic pelvis penis perineum pharynx placenta pleura popliteal portal pulmonary radius rectum renal retro rib
    ribs sacral sacrum salivary scalp scapula scrotum shoulder sigmoid sijoint sinus skin skull small sole spine spinalcord spleen splenic sspine sternum
    stomach subclavian symphysis temporal testis thigh thorax throat thumb thymus thyroid tibia tissue tlspine tmj toe tongue trachea trunk tspine ulna
    umbilical upper upperarm ureter urethra urinary uterus vagina vein ventricle vertebra vulva wholebody wrist zygoma
    ap ax axial caudal cc cephalad cor coronal cranial decub decubitus dlat dorsal erect feet ffdl ffdr ffp ffs fb first hfdl hfdr hfp hfs hl inferior
    lao lateral lat left ll llo lm lmo lpo med medial ml mlo oblique obl pal palmar plantar posterior prone rao recumbent right rl rlo rpo rm sag sagittal
    seated semierect sio sitting standing superior supine tr transverse trans trendelenburg upright ventral xccl xccm afdl afdr afp afs pfdl pfdr pfp pfs
    added addition add auto automatic bias binary biplane calculated combined color colour composite cropped cross default derived digital direct dual
    dynamic emission enhanced epi error evaluation fluoroscopy fluid formatted hologic integrated isotope large local localizer manual map max maximum
    mean min minimum mixed mpr none normal not oblique original other out overlay parallel partial pasted perfusion photo picture planar post pre primary
    processed projection quality quantitative radiographic raw real reconstructed reformatted resampled ref reference retro rotation scanned screen
    secondary sharp single smooth static still stitched subtraction sum survey synthesized tomo tomosynthesis unprocessed video volume volumetric warped
    weighted whole bw monochrome palette rgb argb hsv cmyk ybr ict rct full table linear log identity inverse exact sigmoid square round circle
    circular rectangle rectangular hexagonal hexagon polygon polygonal bitmap ellipse ellipsoid point polyline irregular
    presentation processing yes no true false unknown modified removed unmodified cleaned burned
    amorphous selenium scintillator storage phosphor flat panel csi cmos ccd film focused crossed focussed fine carbon aluminum aluminium
    molybdenum rhodium silver tungsten copper lead tin lanthanum flat filled filter strip wedge butterfly none multiple compensation
    continuous pulsed started ended completed discontinued aborted scheduled progress fixed tubecurrent exposure time mas kvp automatic
    wsd dv di sd si dwd dtd wst ca film digitizer scanner approved unapproved verified unverified complete partial
    dimension dip eap modality geometry magnified fiducial rg hu od us mgml z ct pq spectral ed wl cd
    grasp sense space echo spin gradient inversion recovery segmented phase frequency magnitude proton density diffusion flow encoded
    arterial venous equilibrium delayed tagging suppression water fat silicone breath hold gated triggered prospective retrospective
    high low medium wide narrow clinical routine standard emergent elective stat urgent portable mobile bucky grid chair bed stretcher
    m f o human animal biped quadruped phantom patient device lossy lossless iso
    e d m em post pre screening diagnostic dose exam localiser view spot compression magnification implant displaced tangential cleavage axillary tail
    rolled lateromedial mediolateral craniocaudal exaggerated nipple profile
    lin disp lut rel mammographic cephalostat panoramic column carm rigid mammo dsa coro abdo abdominal apical ascending descending arch basilar
    bilateral unilateral bilinear cubic cord distalphalanx fetal fetus filtered unfiltered iliac ileum landscape portrait lps metacarpus metatarsus
    midline nerve outlined optical pca permanent prostate prox proximal distal rest stress ramp rms sinc stdev step stationary venous white less
    greater equal lesser julian hijri gregorian japanese uterine unaltered shcolpar stpar median mip minip maxip noise grey air iso ir ascii
    sct srt snm dcm ln ucum radlex fma nci rxnorm icd umls mdc
""".split())  # fmt: skip


_FORMER_SNOMED = ("SRT", "SNM3", "99SDM")


@functools.cache
def vocabulary() -> frozenset[str]:
    """Plain words of defined terms and of attribute names."""
    names = " ".join(plain(entry[2]) for entry in DicomDictionary.values())
    return _TERMS | frozenset(word for word in re.findall(r"[a-z]+", names) if len(word) > 2)


def is_term(value: str) -> bool:
    """Whether every word of a coded value belongs to DICOM's vocabulary.

    >>> is_term("FOR PRESENTATION"), is_term("MONOCHROME2"), is_term("SMITH_HAND"), is_term("47119")
    (True, True, False, False)
    """
    value_words = re.findall(r"[^\W\d_]+", plain(value))
    return bool(value_words) and all(word in vocabulary() for word in value_words)


def is_concept(item: Dataset) -> bool:
    """Whether a code item has a value in the standard's dictionary and a meaning that consists of the dictionary's words."""
    from pydicom.sr._concepts_dict import concepts  # the import takes a second
    from pydicom.sr._snomed_dict import mapping

    scheme, value, meaning = (str(item.get(keyword, "") or "").strip() for keyword in ("CodingSchemeDesignator", "CodeValue", "CodeMeaning"))
    if scheme in _FORMER_SNOMED:
        scheme, value = "SCT", mapping["SRT"].get(value, value)
    of_scheme: Mapping[str, Any] = concepts.get(scheme, {})  # keyword -> codes; pydicom's own annotation is too wide
    in_scheme = any(value in codes for codes in of_scheme.values())
    return in_scheme and all(word in _dictionary_words() or word in vocabulary() for word in re.findall(r"[^\W\d_]+", plain(meaning)))


@functools.cache
def _dictionary_words() -> frozenset[str]:
    """Plain words of the meanings of all codes in the standard."""
    from pydicom.sr._concepts_dict import concepts

    schemes: Mapping[str, Any] = concepts
    meanings = (meaning for scheme in schemes.values() for codes in scheme.values() for meaning, _ in codes.values())
    return frozenset(re.findall(r"[^\W\d_]+", plain(" ".join(meanings))))
